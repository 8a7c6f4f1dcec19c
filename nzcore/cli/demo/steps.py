"""The steps of the demo, as data: each does one thing on the stage and says what came of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from nzcore.cli.demo.stage import Player, Stage, failed

ALICE = "alice"


class Step(NamedTuple):
    """`act` does it and returns what is worth telling; any NzError is its failure."""

    name: str
    summary: str
    act: Callable[[Stage], str]


def _init(stage: Stage) -> str:
    alice = stage.player(ALICE)
    made = alice.command("init", "--name", ALICE, "--no-passphrase", "--mnemonic-out", str(stage.folder / "words.txt"))
    alice.node = made["node"]
    return str(alice.node)


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


def _down(stage: Stage) -> str:
    code = stage.player(ALICE).down()
    if code:
        raise failed(f"the node's process ended with {code}")
    return "its process ended with 0"


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
    Step("down", "stop it", _down),
)
