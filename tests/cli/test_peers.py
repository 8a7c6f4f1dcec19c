"""Peers and channels by command: two real nodes meet, measure each other and part; names that can't be meant."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from nzcore.base.errors import UnavailableError
from nzcore.cli.commands.up import Wanted, _with_cause
from nzcore.cli.names import delivery_ids
from nzcore.cli.session import Session

from .conftest import Run, here, make_home, spawn
from .terminal import Terminal
from .test_offline import complete

pytestmark = pytest.mark.real

PEER = {"node", "identity", "name", "connected", "addresses", "rtt_ms", "scopes"}
CHANNEL = {"peer", "direction", "address", "age_s", "streams", "rekeys", "bytes_in", "bytes_out"}
ALL_BUT_ADMIN = ["connect", "files", "introduce", "message", "route", "sync"]


@pytest.fixture
def stranger(run: Run, home: str, tmp_path: Path) -> Iterator[str]:
    """The name of a peer of the running node whose own node does not run; forgotten afterwards."""
    make_home(tmp_path / "carol", name="carol")
    card = run("--home", tmp_path / "carol", "identity", "card").out
    (tmp_path / "card").write_text(card)
    assert run("--home", home, "peer", "add", tmp_path / "card").code == 0
    yield "carol"
    run("--home", home, "peer", "remove", "carol")


def listed(run: Run, home: str) -> dict[str, dict[str, Any]]:
    return {peer["name"]: peer for peer in run("--home", home, "--json", "peer", "list").json}


def test_a_peer_is_listed_and_shown_with_all_that_is_promised(run: Run, home: str, bob: str) -> None:
    peer = listed(run, home)["bob"]
    assert set(peer) == PEER
    assert peer["connected"] is True
    assert sorted(peer["scopes"]) == ALL_BUT_ADMIN
    (address,) = peer["addresses"]
    assert address.startswith("tcp://127.0.0.1:")
    details = run("--home", home, "peer", "show", peer["node"][:20], "--json").json
    assert set(details) > PEER
    assert details["node"] == peer["node"]
    shown = run("--home", home, "peer", "show", "BO").out
    assert peer["node"] in shown
    assert address in shown


def test_a_person_sees_peers_in_columns_that_fit(run: Run, home: str, bob: str) -> None:
    head, *rows = run("--home", home, "peer", "list").out.splitlines()
    assert head.split() == ["PEER", "CONNECTED", "RTT", "ADDRESS", "NODE"]
    assert any(row.split()[:2] == ["bob", "yes"] for row in rows)
    assert all(len(row) < 80 for row in rows)
    state = run("--home", home, "state").out
    assert re.search(r"^listening +tcp://127\.0\.0\.1:\d+$", state, re.MULTILINE)
    assert re.search(r"^bob +yes ", state, re.MULTILINE)


def test_pings_are_counted_and_measured(run: Run, home: str, bob: str) -> None:
    told = run("--home", home, "peer", "ping", "bob", "--count", "3", "--interval", "0", "--json").json
    assert (told["sent"], told["received"]) == (3, 3)
    trip = told["rtt_ms"]
    assert 0 < trip["min"] <= trip["avg"] <= trip["max"]
    lines = run("--home", home, "peer", "ping", "bob", "--count", "2", "--interval", "0").out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["1", "2"]
    assert lines[2].startswith("2 sent, 2 received; min ")


def test_ctrl_c_ends_pings_with_their_sum(home: str, bob: str) -> None:
    with Terminal("--home", home, "peer", "ping", "bob", "--count", "1000", "--interval", "60") as terminal:
        terminal.expect("1: ")
        terminal.press(b"\x03")
        assert terminal.end() == 0
        assert "1 sent, 1 received; min " in terminal.shown


def test_no_answer_at_all_is_a_failure_with_a_reason(
    run: Run, home: str, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nzcore.cli.ping._SETTLE_S", 0)
    ended = run("--home", home, "peer", "ping", stranger, "--count", "1", "--json")
    assert ended.code == 1
    assert ended.json == {"sent": 1, "received": 0, "rtt_ms": {"min": None, "avg": None, "max": None}}
    assert ended.error["code"] == "net.not-connected"
    assert "connect" in ended.error["hint"]


@pytest.mark.parametrize(
    "words", [("peer", "show"), ("peer", "ping"), ("peer", "connect"), ("peer", "remove"), ("channel", "close")]
)
def test_an_unknown_peer_is_met_with_those_that_are_known(
    run: Run, home: str, bob: str, words: tuple[str, ...]
) -> None:
    ended = run("--home", home, *words, "nobody", "--json")
    assert (ended.code, ended.error["code"]) == (1, "node.unknown-peer")
    assert "bob" in ended.error["candidates"]
    assert "bob" in ended.error["message"]
    empty = run("--home", home, *words, "", "--json")
    assert (empty.code, empty.error["code"]) == (2, "cli.usage")


def test_an_ambiguous_name_is_met_with_those_it_could_be(run: Run, home: str, bob: str, stranger: str) -> None:
    ended = run("--home", home, "peer", "show", "nzn1", "--json")
    assert (ended.code, ended.error["code"]) == (1, "node.ambiguous-peer")
    assert sorted(ended.error["candidates"]) == ["bob", "carol"]


def test_the_name_of_a_removed_peer_is_free_and_comes_back_with_it_if_it_still_is(
    run: Run, home: str, tmp_path: Path
) -> None:
    cards = []
    for folder in ("one", "two"):
        make_home(tmp_path / folder, name="dave")
        cards.append(run("--home", tmp_path / folder, "identity", "card").out.strip())
    assert run("--home", home, "peer", "add", cards[0], "--json").json["name"] == "dave"
    run("--home", home, "peer", "remove", "dave")
    assert run("--home", home, "peer", "add", cards[0], "--json").json["name"] == "dave"
    run("--home", home, "peer", "remove", "dave")
    assert run("--home", home, "peer", "add", cards[1], "--json").json["name"] == "dave"
    assert run("--home", home, "peer", "add", cards[0], "--json").json["name"] == "dave-2"
    assert run("--home", home, "peer", "rename", "dave-2", "DAVE", "--json").error["code"] == "node.petname-taken"
    for name in ("dave-2", "dave"):
        assert run("--home", home, "peer", "remove", name).code == 0


def test_names_of_peers_are_completed_live(home: str, bob: str, stranger: str) -> None:
    assert complete("peer", "ping", "", home=home) == ["bob", "carol"]
    assert complete("doctor", "c", home=home) == ["carol"]
    assert complete("channel", "close", "", home=home) == ["bob"]
    assert complete("peer", "ping", "") == []
    assert complete("seal", "--to", "", home=home) == ["bob", "carol"]
    assert complete("seal", "--to", "c", home=home) == ["carol"]
    assert complete("seal", "--to", "car/", home=home) == ["car/"]  # of the type file: the shell completes it
    assert complete("outbox", "list", "b", home=home) == ["bob"]
    assert "node.state" in complete("call", "bob", "node.", home=home)


def test_ids_are_completed_live(run: Run, home: str, stranger: str) -> None:
    ticket = run("--home", home, "--json", "invite", "--no-wait").json["tid"]
    assert ticket in complete("invite", "--cancel", "", home=home)
    assert run("--home", home, "invite", "--cancel", ticket).code == 0
    assert ticket not in complete("invite", "--cancel", "", home=home)
    assert complete("outbox", "drop", "", home=home) == []


def test_deliveries_that_wait_are_completed_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = [{"id": "0a1b2c3d-1", "topic": "tea", "name": "bob"}, {"id": "ff-2", "topic": "tea", "name": "bob"}]
    monkeypatch.setattr(Session, "stream", lambda *_, **__: iter(waiting))
    context = click.Context(click.Command("drop"))
    (offered,) = delivery_ids(context, click.Argument(["ids"]), "0a")
    assert (offered.value, offered.help) == ("0a1b2c3d-1", "tea for bob")


def test_a_card_is_taken_as_text_as_a_file_and_from_standard_input(run: Run, home: str, tmp_path: Path) -> None:
    node = make_home(tmp_path / "dora", name="dora")["node"]
    card = run("--home", tmp_path / "dora", "identity", "card").out
    (tmp_path / "dora.card").write_text(card)
    by_text = run("--home", home, "peer", "add", card.strip(), "--json").json
    assert (by_text["node"], by_text["name"], by_text["connected"]) == (node, "dora", False)
    limits = ("--scope", "connect", "--scope", "files")
    by_file = run("--home", home, "peer", "add", tmp_path / "dora.card", "--name", "dd", *limits, "--json").json
    assert (by_file["name"], by_file["scopes"]) == ("dd", ["connect", "files"])
    by_stream = spawn("--home", home, "--json", "peer", "add", stdin=card)
    assert by_stream.json["node"] == node
    assert "card" in run("--home", home, "peer", "add", tmp_path / "dora.card").out
    assert run("--home", home, "peer", "rename", "dd", "dora", "--json").json["name"] == "dora"
    gone = run("--home", home, "peer", "remove", "dora", "--json").json
    assert (gone["node"], gone["was_connected"]) == (node, False)
    assert "dora" not in listed(run, home)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("peer", "add", "/nonexistent"), 1, "cli.unreadable"),
        (("peer", "add", "nzc:ABCDEF"), 1, "identity.bad-text"),
        (("peer", "add", "nz:ABCDEF"), 1, "cli.no-card"),
        (("peer", "add", "nzc:ABCDEF", "--scope", "everything"), 2, "cli.usage"),
        (("peer", "rename", "bob", "two words"), 1, "identity.bad-petname"),
        (("peer", "ping", "bob", "--count", "0"), 2, "cli.usage"),
        (("peer", "ping", "bob", "--interval", "-1"), 2, "cli.usage"),
    ],
)
def test_wrong_input_is_one_sentence_and_a_hint(
    run: Run, home: str, bob: str, words: tuple[str, ...], code: int, error: str
) -> None:
    ended = run("--home", home, "--json", *words)
    assert (ended.code, ended.error["code"]) == (code, error)
    assert ended.error["hint"]


def test_no_card_on_standard_input_is_said(home: str) -> None:
    ended = spawn("--home", home, "--json", "peer", "add")
    assert (ended.code, ended.error["code"]) == (1, "cli.no-card")


def test_a_channel_is_listed_rekeyed_closed_and_comes_back(run: Run, home: str, bob: str) -> None:
    run("--home", home, "peer", "connect", "bob")
    (channel,) = run("--home", home, "channel", "list", "--json").json
    assert set(channel) == CHANNEL
    assert channel["peer"] == "bob"
    assert channel["direction"] in ("in", "out")
    assert channel["bytes_in"] > 0
    assert run("--home", home, "channel", "rekey", "bob", "--json").json["peer"] == "bob"
    while run("--home", home, "channel", "list", "--json").json[0]["rekeys"] == 0:
        assert run("--home", home, "peer", "ping", "bob", "--count", "1").code == 0
    assert run("--home", home, "channel", "list").out.startswith("PEER")
    assert run("--home", home, "channel", "close", "bob", "--json").json["was_connected"] is True
    assert run("--home", home, "peer", "ping", "bob", "--count", "1", "--json").json["received"] == 1


def test_connecting_says_what_came_of_it(run: Run, home: str, bob: str) -> None:
    assert run("--home", home, "peer", "connect", "bob", "--json").json["connected"] is True
    assert run("--home", home, "peer", "connect", "bob").out.startswith("connected with bob\n")
    ended = run("--home", bob, "peer", "disconnect", "tester", "--json").json
    assert (ended["name"], ended["was_connected"]) == ("tester", True)
    assert run("--home", bob, "peer", "connect", "tester", "--json").json["connected"] is True


def test_the_doctor_climbs_to_a_peer_and_stops_at_the_culprit(run: Run, home: str, bob: str, stranger: str) -> None:
    run("--home", home, "peer", "connect", "bob")
    up = run("--home", home, "doctor", "bob", "--json")
    assert up.code == 0, up.out
    assert [check["check"] for check in up.json] == ["name", "address", "tcp", "handshake", "trust", "scope"]
    assert all(check["ok"] for check in up.json)
    shown = run("--home", home, "doctor", "bob").out.splitlines()
    assert shown[0] == "nothing stands between this node and bob"
    assert [line.split()[:2] for line in shown[1:]] == [["ok", check["check"]] for check in up.json]
    down = run("--home", home, "doctor", stranger)
    assert down.code == 1
    assert down.out.splitlines()[0] == "the way to carol ends at: address"
    assert "try: " in down.out.splitlines()[-1]
    nobody = run("--home", home, "doctor", "nobody", "--json")
    assert nobody.code == 1
    assert [(check["check"], check["ok"]) for check in nobody.json] == [("name", False)]


def test_nothing_known_and_nothing_open_is_said_in_words(run: Run, tmp_path: Path) -> None:
    lone = tmp_path / "lone"
    make_home(lone)
    started = spawn("--home", str(lone), "--json", "up", "-d", "--listen", "127.0.0.1:0", "--no-mdns")
    (address,) = started.json["listen"]
    assert re.fullmatch(r"tcp://127\.0\.0\.1:[1-9]\d*", address)
    assert run("--home", lone, "peer", "list").out == "no peer is known yet: `nzcore peer add CARD` adds one\n"
    assert run("--home", lone, "channel", "list").out == "no channel is open\n"
    own = run("--home", lone, "identity", "card").out.strip()
    assert run("--home", lone, "--json", "peer", "add", own).error["code"] == "node.own-card"
    # what a card names and nobody serves any more: the ladder's step is the dial
    other = make_home(tmp_path / "other", name="other")["home"]
    assert spawn("--home", other, "up", "-d", "--listen", "tcp://127.0.0.1:0", "--no-mdns").code == 0
    card = run("--home", other, "identity", "card").out.strip()
    assert run("--home", other, "down").code == 0
    assert run("--home", lone, "peer", "add", card).code == 0
    ended = run("--home", lone, "doctor", "other", "--json")
    assert (ended.code, ended.json[-1]["check"]) == (1, "tcp")
    assert run("--home", lone, "peer", "connect", "other", "--json").error["hint"]
    assert run("--home", lone, "down").code == 0


@pytest.mark.parametrize("address", ["nonsense:1:2", "tcp://10.0.0.1", "tcp://10.0.0.1:70000", "http://10.0.0.1:80"])
def test_an_address_that_is_none_is_refused_before_anything_starts(run: Run, home: str, address: str) -> None:
    ended = run("--home", home, "--json", "up", "--listen", address)
    assert (ended.code, ended.error["code"]) == (2, "cli.usage")
    assert "tcp://host:port" in ended.error["message"]


def test_a_public_address_needs_to_be_meant(run: Run, tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    ended = spawn("--home", str(tmp_path / "home"), "--json", "up", "-d", "--listen", "tcp://8.8.8.8:7001")
    assert ended.code == 1
    assert "--public" in ended.error["hint"]
    assert "8.8.8.8" in ended.error["message"]


def test_what_up_was_told_is_told_to_the_detached_one() -> None:
    wanted = Wanted(("tcp://127.0.0.1:1", "tcp://[::1]:2"), public=True, mdns=False)
    assert wanted.words() == ["--listen", "tcp://127.0.0.1:1", "--listen", "tcp://[::1]:2", "--public", "--no-mdns"]
    assert Wanted((), public=False, mdns=True).words() == []
    assert Wanted((), public=False, mdns=True, empty_store=True).words() == ["--empty-store"]


def test_a_failed_start_has_the_hint_of_its_cause() -> None:
    error = _with_cause(UnavailableError("node.not-ready", "the service net did not start: no [net.cannot-listen]"))
    assert error.message == "the service net did not start: no"
    assert "--listen" in error.hint
    unknown = UnavailableError("node.not-ready", "the service x did not start: it said [no.such-code]")
    assert _with_cause(unknown) is unknown


def test_a_card_piped_from_one_node_to_another_is_enough(run: Run, home: str, bob: str) -> None:
    card = here("--home", bob, "identity", "card", "--json").json["card"]
    again = spawn("--home", home, "peer", "add", "-", stdin=card)
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith("added bob\n")
    assert json.loads(run("--home", home, "--json", "peer", "show", "bob").out)["connected"] is True
