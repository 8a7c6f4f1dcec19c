"""The state as a person reads it: the first line says whether the node is well, or how much is wrong."""

from nzcore.cli.commands.state import human
from nzcore.cli.output import Block, Line

STATE = {
    "name": "a",
    "node": "n",
    "identity": "i",
    "version": "1",
    "uptime_s": 70,
    "listen": [],
    "services": [],
    "peers": 0,
    "channels": 0,
}


def shown(*problems: str) -> list[Block]:
    return list(human({**STATE, "problems": [*problems]}))


def test_a_node_without_problems_is_healthy() -> None:
    assert shown()[0] == Line("healthy", "green")


def test_what_is_wrong_stands_in_the_first_line_of_the_state() -> None:
    assert shown("the disk is full", "x has failed")[0] == Line("not well: the disk is full; x has failed", "red")
    one = "module-x failed: " + "for a long reason, " * 20
    assert shown(one)[0] == Line(f"not well: {one}", "red")


def test_much_that_is_wrong_has_a_line_each() -> None:
    problems = [f"module-{number} failed: it could not be loaded, for a long reason" for number in range(14)]
    first, *rest = shown(*problems)
    assert first == Line("not well: 14 problems", "red")
    assert rest[:12] == [f"  {problem}" for problem in problems[:12]]
    assert rest[12] == "  and 2 more: nzcore doctor"
    assert shown(*problems[:12])[13:] == shown(*problems)[14:]  # twelve are shown without a word of more
