"""A real giver, killed while a real joiner is at its door: binding and peer are both there or neither."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from nzcore.cli.spawn import own_command, own_environment

from .conftest import here, make_home, spawn
from .test_joining import houses, invite, kill

pytestmark = pytest.mark.real
__all__ = ["houses"]


def start_again(home: str, listen: str) -> str:
    """Starts the node of a home; where it listens."""
    started = spawn("--home", home, "--json", "up", "-d", "--listen", listen, "--no-mdns")
    assert started.code == 0, started.err
    return str(json.loads(started.out)["listen"][0])


def test_wherever_the_giver_is_killed_one_node_gets_in(tmp_path: Path, houses: tuple[str, str]) -> None:
    victim = str(tmp_path / "victim")
    make_home(Path(victim), name="victim")
    listen = start_again(victim, "tcp://127.0.0.1:0")
    guest, late = houses
    for after_s in (0.09, 0.12, 0.15):
        made = invite(victim)
        join = [*own_command(), "--home", guest, "--json", "join", made["ticket"]]
        joining = subprocess.Popen(join, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=own_environment())
        began = time.monotonic()
        try:
            joining.wait(after_s)  # the moment of the kill is what this test is about
        except subprocess.TimeoutExpired:
            assert time.monotonic() - began >= after_s
        kill(victim)
        joining.wait(60)
        start_again(victim, listen)
        (info,) = [
            one for one in here("--home", victim, "--json", "invite", "--list").json if one["tid"] == made["tid"]
        ]
        known = here("--home", victim, "--json", "peer", "list").json
        assert info["nodes"] == [peer["node"] for peer in known]
        assert here("--home", guest, "join", made["ticket"]).code == 0
        refused = here("--home", late, "--json", "join", made["ticket"])
        assert refused.error["code"] == "ticket.used"
        for home in (victim, guest):
            for peer in here("--home", home, "--json", "peer", "list").json:
                here("--home", home, "peer", "remove", peer["name"])
    assert here("--home", victim, "down").code == 0
