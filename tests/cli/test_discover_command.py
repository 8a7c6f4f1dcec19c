"""`nzcore peer discover` shows who is near, as a table or as JSON, and what to do where it can't."""

from typing import Any

from nzcore.cli.commands.peer import _change, _nearby
from nzcore.cli.output import Table

from .conftest import Run

NEAR: dict[str, Any] = {
    "instance": "ogeiqk2e6ffyt5mbwugprieo3a",
    "name": "bob",
    "node": "nzn1…",
    "addresses": ["tcp://192.168.7.2:4500", "tcp://[fe80::2%eth0]:4500"],
    "known": True,
    "pairing": False,
    "connected": True,
    "first_seen_s": 61.0,
}
STRANGER = NEAR | {"name": None, "node": None, "known": False, "connected": False}
WINDOW = STRANGER | {"instance": "carol-k3f7", "pairing": True}


def test_a_node_that_does_not_discover_says_so_and_what_works_anyway(run: Run, bob: str) -> None:
    ended = run("--home", bob, "--json", "peer", "discover")
    assert ended.code == 1
    assert ended.error["code"] == "discovery.off"
    assert "tickets and known addresses work without it" in ended.error["hint"]


def test_peers_windows_and_strangers_are_told_apart() -> None:
    (table,) = _nearby([NEAR, WINDOW, STRANGER])
    assert isinstance(table, Table)
    rows = [[str(cell) for cell in row] for row in table.rows]
    assert [row[0] for row in rows] == ["bob", "pairing window", "stranger"]
    assert rows[0][2:] == ["192.168.7.2:4500 +1", NEAR["instance"], "1 min"]


def test_nobody_near_leads_to_the_doctor() -> None:
    (line,) = _nearby([])
    assert "nzcore doctor" in str(line)


def test_changes_are_lines() -> None:
    lines = [
        str(next(iter(_change(one | {"gone": gone})))) for one, gone in ((NEAR, False), (NEAR, True), (WINDOW, False))
    ]
    assert [line.split()[:2] for line in lines] == [["connected", "bob"], ["gone", "bob"], ["seen", "pairing"]]
