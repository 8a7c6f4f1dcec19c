"""`nzcore chat` between two nodes that are processes of their own."""

import json
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nzcore.cli.spawn import own_command, own_environment

from .conftest import WAIT_S, Run, here, start_node

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def friends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The homes of ann and ben, who know each other and both enabled chat."""
    homes = {name: tmp_path_factory.mktemp(name) / "home" for name in ("ann", "ben")}
    for name, home in homes.items():
        start_node(home, name)
    cards = {name: here("--home", str(home), "identity", "card").out.strip() for name, home in homes.items()}
    for name, other in (("ann", "ben"), ("ben", "ann")):
        assert here("--home", str(homes[name]), "peer", "add", cards[other], "--name", other).code == 0
    assert here("--home", str(homes["ann"]), "peer", "connect", "ben").code == 0
    for home in homes.values():
        assert here("--home", str(home), "module", "enable", "chat", "--yes").code == 0
    yield str(homes["ann"]), str(homes["ben"])
    for home in homes.values():
        assert here("--home", str(home), "down").code == 0


def test_a_line_said_on_one_node_is_followed_and_read_on_the_other(run: Run, friends: tuple[str, str]) -> None:
    ann, ben = friends
    command = [*own_command(), "--home", ben, "--json", "chat", "follow", "den"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own_environment()) as following:
        assert following.stdout is not None
        try:
            said = 0
            while not select.select([following.stdout], [], [], 0.1)[0]:  # until it follows, and is heard from there
                assert run("--home", ann, "chat", "say", "den", f"evening {said}").code == 0
                said += 1
                assert said < WAIT_S * 10
            heard = json.loads(following.stdout.readline())
        finally:
            following.terminate()
    assert (heard["room"], heard["who"]) == ("den", "ann")
    shown = run("--home", ben, "chat", "read", "den", "--last", "1").out
    assert "evening" in shown
    assert "ann" in shown
    assert run("--home", ben, "--json", "chat", "rooms").json["den"] >= 1


def test_a_room_needs_a_name(run: Run, friends: tuple[str, str]) -> None:
    ended = run("--home", friends[0], "--json", "chat", "say", "Not A Room", "x")
    assert (ended.code, ended.error["code"]) == (1, "module.refused")
    assert ended.error["hint"]


def test_the_log_tells_who_spoke_where_and_not_what(friends: tuple[str, str]) -> None:
    log = Path(friends[1], "logs", "node.log").read_text()
    assert "chat.said" in log
    assert "evening" not in log
