"""The steps of the demo, as data: each does one thing on the stage and says what came of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from nzcore.base.errors import NzError
from nzcore.base.units import size
from nzcore.cli.demo.stage import Player, Stage, failed

ALICE, BOB, CAROL = "alice", "bob", "carol"
TICKET = "ticket.txt"
PINGS = 5
GREETING = "are you there?"
FOLDER_FILE_BYTES = 4 << 20
BIG_BYTES = 256 << 20  # long enough to do something in the middle of it
REKEYS = 3


class Step(NamedTuple):
    """`act` does it and returns what is worth telling; any NzError is its failure."""

    name: str
    summary: str
    act: Callable[[Stage], str]


def _init(stage: Stage) -> str:
    alice = stage.player(ALICE)
    alice.make()
    return alice.node


def _up(stage: Stage) -> str:
    ready = stage.start(ALICE)
    if ready.get("event") != "ready" or ready.get("node") != stage.player(ALICE).node:
        raise failed("the node's first line does not say that it is ready")
    return f"process {stage.pids[-1]}"


def _ask(stage: Stage) -> str:
    state = stage.player(ALICE).command("state")
    if state["problems"]:
        raise failed("; ".join(state["problems"]))
    return f"healthy, {len(state['services'])} services"


def _kill(stage: Stage) -> str:
    alice = stage.player(ALICE)
    victim = _victim(alice)
    alice.command("service", "kill", victim, "--force")
    stage.until(f"the crash of {victim}", lambda: _service(alice, victim)["restarts"] > 0)
    return f"{victim}: {_service(alice, victim)['last_error']}"


def _heal(stage: Stage) -> str:
    alice = stage.player(ALICE)
    victim = next(service["name"] for service in alice.ask("service.list") if service["restarts"])
    stage.until(f"the return of {victim}", lambda: _service(alice, victim)["state"] == "running")
    stage.until("a healthy node", lambda: bool(alice.ask("node.state")["healthy"]))
    restarts = _service(alice, victim)["restarts"]
    return f"{victim} runs again after {restarts} restart{'' if restarts == 1 else 's'}"


def _second(stage: Stage) -> str:
    bob = _started(stage, BOB)
    return f"{bob.name}, process {stage.pids[-1]}"


def _invite(stage: Stage) -> str:
    made = stage.player(ALICE).command("invite", "--no-wait", "--qr-png", str(stage.folder / "ticket.png"))
    (stage.folder / TICKET).write_text(made["ticket"], encoding="ascii")
    return f"a ticket of {len(made['ticket'])} characters, for one node and {made['expires_s'] // 60} minutes"


def _join(stage: Stage) -> str:
    bob = stage.player(BOB)
    joined = bob.command("join", stdin=(stage.folder / TICKET).read_text(encoding="ascii"))
    stage.until("a channel on both sides", lambda: bool(stage.player(ALICE).ask("channel.list")))
    (channel,) = bob.ask("channel.list")
    return f"{bob.name} is {joined['name']}'s peer, over an encrypted channel to {channel['address']}"


def _ping(stage: Stage) -> str:
    told = stage.player(ALICE).command("peer", "ping", BOB, "--count", str(PINGS), "--interval", "0")
    if told["received"] != PINGS:
        raise failed(f"{told['received']} of {PINGS} answers came")
    return f"{told['received']} answers, {told['rtt_ms']['avg']:.2f} ms on average"


def _message(stage: Stage) -> str:
    alice, bob = stage.player(ALICE), stage.player(BOB)
    alice.command("message", "send", BOB, GREETING)
    texts = [message["text"] for message in bob.command("message", "list")]
    if texts != [GREETING]:
        raise failed(f"{bob.name} has {texts}")
    return f"{bob.name} reads: {GREETING}"


def _folder(stage: Stage) -> str:
    """Three files in two folders, compared by their hashes as the receiver found them."""
    alice, bob = stage.player(ALICE), stage.player(BOB)
    photos = stage.folder / "photos"
    (photos / "summer").mkdir(parents=True)
    for name in ("sea.raw", "summer/beach.raw", "summer/dunes.raw"):
        (photos / name).write_bytes(os.urandom(FOLDER_FILE_BYTES))
    sent = alice.command("send", BOB, str(photos))
    held = sorted(one["sha256"] for one in bob.command("inbox"))
    if sent["files"] != len(held) or sorted(sent["sha256"].values()) != held:
        raise failed("what arrived is not what was sent")
    return f"{sent['files']} files, {size(sent['bytes'])} in {sent['seconds']:.2f} s, hashes equal"


def _rekey(stage: Stage) -> str:
    alice, bob = stage.player(ALICE), stage.player(BOB)
    before = bob.arrived_bytes()
    sending = alice.begin("send", BOB, str(_big_file(stage, "film.raw")))
    stage.until("the first bytes of a file", lambda: bob.arrived_bytes() > before)
    for _ in range(REKEYS):
        alice.ask("channel.rekey", peer=BOB)
    sent = alice.finish(sending)
    stage.until("the change of keys", lambda: min(_rekeys(alice), _rekeys(bob)) > 0)
    rate = size(sent["bytes"] / max(sent["seconds"], 1e-3))
    return f"keys renewed {_rekeys(alice)} times while {size(sent['bytes'])} went by at {rate}/s"


def _crash(stage: Stage) -> str:
    """The receiver dies as in a power cut, in the middle of a file."""
    alice, bob = stage.player(ALICE), stage.player(BOB)
    before = bob.arrived_bytes()
    stage.sending = alice.begin("send", BOB, str(_big_file(stage, "concert.raw")))
    stage.until("some of a file", lambda: bob.arrived_bytes() > before + BIG_BYTES // 8)
    bob.kill()
    return f"{bob.name} was killed with {size(bob.arrived_bytes() - before)} of {size(BIG_BYTES)} on disk"


def _resume(stage: Stage) -> str:
    alice, bob = stage.player(ALICE), stage.player(BOB)
    stage.start(BOB)
    assert stage.sending
    sent = alice.finish(stage.sending)
    newest = bob.command("inbox", "--last", "1")[0]
    if newest["sha256"] not in sent["sha256"].values() or not sent["resumed_bytes"]:
        raise failed(f"it did not go on where it was: {sent['resumed_bytes']} bytes resumed")
    resumed = size(sent["resumed_bytes"])
    return f"{bob.name} is back; {resumed} were there already, the rest followed, hash equal"


def _module(stage: Stage) -> str:
    alice, bob = stage.player(ALICE), stage.player(BOB)
    bob.command("module", "enable", "hello", "--yes")
    answer = alice.command("call", BOB, "hello.greet", f'{{"name":"{ALICE}"}}')
    return f"{bob.name}'s module answers: {answer['body']}"


def _stranger(stage: Stage) -> str:
    """Somebody who has found the used ticket and alice's card, and whom alice doesn't know."""
    carol, alice = _started(stage, CAROL), stage.player(ALICE)
    try:
        carol.ask("pair.join", text=(stage.folder / TICKET).read_text(encoding="ascii"))
    except NzError as error:
        if error.code != "ticket.used":
            raise
    else:
        raise failed("a ticket worked twice")
    _give_card(alice, carol)
    try:
        carol.ask("peer.connect", peer=ALICE)
    except NzError as error:
        known = [peer["name"] for peer in alice.ask("peer.list")]
        if error.code != "handshake.not-admitted" or known != [BOB]:
            raise
        return f"{carol.name} hears: {error.message}"
    raise failed(f"{alice.name} let a stranger in")


def _down(stage: Stage) -> str:
    codes = [player.down() for player in stage.players.values()]
    if any(codes):
        raise failed(f"their processes ended with {', '.join(map(str, codes))}")
    return f"all {len(codes)} processes ended with 0"


def _started(stage: Stage, name: str) -> Player:
    player = stage.player(name)
    player.make()
    stage.start(name)
    return player


def _give_card(giver: Player, taker: Player) -> None:
    taker.ask("peer.add", card=giver.ask("identity.card")["card"], name=giver.name)


def _big_file(stage: Stage, name: str) -> Path:
    """A file with holes, which costs the sender's disk nothing; other bytes at its end for each name."""
    path = stage.folder / name
    with path.open("wb") as file:
        file.truncate(BIG_BYTES - len(name))
        file.seek(0, os.SEEK_END)
        file.write(name.encode())
    return path


def _rekeys(player: Player) -> int:
    return sum(channel["rekeys"] for channel in player.ask("channel.list"))


def _service(player: Player, name: str) -> dict[str, Any]:
    found: dict[str, Any] = player.ask("service.show", name=name)
    return found


def _victim(player: Player) -> str:
    """A service that the node can do without for a moment; any one runs as well if all are essential."""
    services = player.ask("service.list")
    needed = {name for service in services for name in service["requires"]}
    free = [s["name"] for s in services if s["state"] == "running" and not s["essential"] and s["name"] not in needed]
    if not free:
        raise failed("no service can be spared")
    return str(free[0])


STEPS = (
    Step("init", "make a node", _init),
    Step("up", "start it as a process of its own", _up),
    Step("state", "ask how it is", _ask),
    Step("kill", "crash one of its services", _kill),
    Step("heal", "see the service come back", _heal),
    Step("second", "make and start another node", _second),
    Step("invite", "make a ticket, as text and QR code", _invite),
    Step("join", "let the other node redeem it", _join),
    Step("ping", "measure round trips on it", _ping),
    Step("message", "send a message", _message),
    Step("folder", "send a folder", _folder),
    Step("rekey", "renew keys while a file goes by", _rekey),
    Step("crash", "kill the receiver in the middle of a file", _crash),
    Step("resume", "see it come back and the file go on", _resume),
    Step("module", "call a module on the other node", _module),
    Step("stranger", "see somebody unknown turned away", _stranger),
    Step("down", "stop all of them", _down),
)
