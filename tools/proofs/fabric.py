"""Kills two nodes, again and again, while one delivers to the other: nothing is lost, nothing is handled twice.

    python -m tools.proofs.fabric [KILLS] [SEED]

Two whole nodes run as processes on loopback. The sender delivers without pause and says which deliveries it was given
an id for; the receiver's handler counts each in the store, in the transaction that marks it done. At seeded points the
sender, the receiver or both are killed with SIGKILL and started again. At the end everything drains, and the receiver's
store must count each delivery that got an id once, and none more than once.
"""

import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import trio
from msgspec.structs import replace

from nzcore.kernel import Service
from nzcore.node.fabric.inbox import Delivery
from nzcore.node.home import Home
from nzcore.node.identity import LocalIdentity
from nzcore.node.node import Node
from nzcore.node.run import opened, services_of
from nzcore.node.setup import create_home
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.store.inline import InlineKV
from nzcore.store.kv import Put

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "proof"
TOPIC = "proof.number"
MOST_LINES = 60  # of the victim's output before it is killed
PATIENCE_S = 60.0
LOOK_S = 0.02
AT_ONCE = 200  # deliveries that wait before the sender pauses
SENDER, RECEIVER = "sender", "receiver"


class ProofService(Service):
    """What the node of this proof does: delivers, or counts what is delivered."""

    name = "proof"
    requires = ("fabric",)

    def __init__(self, node: Node, role: str, run: str, other: "Place") -> None:
        self._node = node
        self._role = role
        self._run = run
        self._other = other

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        node, other = self._node, self._other
        if node.peers.get(other.certificate.node) is None:
            await node.peers.add(other.certificate, [other.address], petname="other")
            node.channels.keep(other.certificate.node)
        end = node.fabric.on_delivery_commit(TOPIC, self._count)
        try:
            task_status.started()
            if self._role == SENDER:
                await self._deliver()
            else:
                await self._tell_idle()
            await trio.sleep_forever()
        finally:
            end()

    async def _deliver(self) -> None:
        fabric, number = self._node.fabric, 0
        while self._run != "drain":
            if fabric.outbox.facts()["outbox"] < AT_ONCE:
                label = f"{self._run}-{number}"
                await fabric.deliver(self._other.certificate.node, TOPIC, label)
                say(label)
                number += 1
            else:
                await trio.sleep(LOOK_S)
        await self._until_empty("outbox")
        say("drained")

    async def _tell_idle(self) -> None:
        while self._run == "drain":
            await self._until_empty("inbox")
            say("idle")
            await trio.sleep(LOOK_S)

    async def _until_empty(self, box: str) -> None:
        for _ in range(int(PATIENCE_S / LOOK_S)):
            if not self._node.fabric.facts()[box]:
                return
            await trio.sleep(LOOK_S)
        raise AssertionError(f"the {box} does not empty: {self._node.fabric.facts()}")

    async def _count(self, delivery: Delivery) -> None:
        assert isinstance(delivery.body, str)
        known = await self._node.kv().get(NAMESPACE, delivery.body)
        count = 1 + (0 if known is None else int(known.value))
        await delivery.commit([Put(NAMESPACE, delivery.body, b"%d" % count)])
        say(delivery.body)


class Place:
    """One of the two nodes: its home, its certificate, its address."""

    def __init__(self, folder: Path, role: str, port: int) -> None:
        self.role = role
        self.home = folder / role
        if not Home(self.home).exists():
            with Mnemonic.generate() as words:
                create_home(self.home, name=role, mnemonic=words, passphrase=None)
        self.certificate = Certificate.parse_text(Home(self.home).certificate.read_text())
        self.address = Address("127.0.0.1", port)


def prove(kills: int, seed: int = 1) -> dict[str, object]:
    """Kills `kills` times and looks; counts what was seen. *Raises* AssertionError."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="nzcore-fabric-") as name:
        folder, ports = Path(name), free_ports()
        places = [Place(folder, role, port) for role, port in zip((SENDER, RECEIVER), ports, strict=True)]
        given: set[str] = set()
        handled = 0
        for kill in range(kills):
            victims = rng.choice([[SENDER], [RECEIVER], [RECEIVER], [SENDER, RECEIVER]])
            said = _run_and_kill(folder, ports, f"{kill}", victims, rng.randrange(MOST_LINES))
            given |= said[SENDER]
            handled += len(said[RECEIVER])
        _drain(folder, ports)
        counts = trio.run(counted, places[1].home)
    check(given, counts)
    return {"kills": kills, "delivered": len(given), "handled": len(counts), "handled before a kill": handled}


def check(given: Iterable[str], counts: dict[str, int]) -> None:
    """*Raises* AssertionError for what was lost or came twice."""
    lost = sorted(set(given) - set(counts))
    assert not lost, f"{len(lost)} deliveries were lost, {lost[0]} first"
    twice = sorted(label for label, count in counts.items() if count > 1)
    assert not twice, f"{len(twice)} deliveries were handled twice, {twice[0]} first"


async def counted(home: Path) -> dict[str, int]:
    """What the receiver's handler left in its store."""
    identity = LocalIdentity.unlock(Home(home), None)
    async with InlineKV(identity.data_key, Home(home).database) as kv:
        await kv.verify()
        found = {}
        for label in await kv.list(NAMESPACE):
            entry = await kv.get(NAMESPACE, label)
            assert entry is not None
            found[label] = int(entry.value)
        left = await kv.list("deliveries", "entry/")
        assert not left, f"{len(left)} deliveries wait for a handler for ever"
    return found


def _run_and_kill(folder: Path, ports: list[int], run: str, victims: list[str], lines: int) -> dict[str, set[str]]:
    """Runs both until a victim has said so much, kills the victims, then the other one; what each said."""
    running = {role: _start(folder, ports, role, run) for role in (SENDER, RECEIVER)}
    output = dict.fromkeys(running, b"")
    try:
        until = time.monotonic() + PATIENCE_S
        while output[victims[0]].count(b"\n") <= lines:
            _read(running, output, until)
        for role in [*victims, *running]:
            running[role].send_signal(signal.SIGKILL)
    finally:
        for process in running.values():
            process.kill()
        for role, process in running.items():
            assert process.stdout is not None
            output[role] += process.stdout.read()
            process.wait()
            process.stdout.close()
    return {
        role: {line.decode() for line in said[: said.rfind(b"\n") + 1].splitlines()} for role, said in output.items()
    }


def _drain(folder: Path, ports: list[int]) -> None:
    running = {role: _start(folder, ports, role, "drain") for role in (SENDER, RECEIVER)}
    output = dict.fromkeys(running, b"")
    until = time.monotonic() + PATIENCE_S
    try:
        while b"drained\n" not in output[SENDER]:
            _read(running, output, until)
        output[RECEIVER] = b""
        while b"idle\n" not in output[RECEIVER]:
            _read(running, output, until)
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for process in running.values():
            process.communicate(timeout=PATIENCE_S)
    finally:
        for process in running.values():
            process.kill()


def _start(folder: Path, ports: list[int], role: str, run: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tools.proofs.fabric", "--node", json.dumps([str(folder), ports, role, run])]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def _read(running: dict[str, subprocess.Popen[bytes]], output: dict[str, bytes], until: float) -> None:
    """Takes what was said next. *Raises* AssertionError where nothing is, or a process has ended."""
    files = {process.stdout: role for role, process in running.items() if process.stdout is not None}
    ready, _, _ = select.select(list(files), [], [], max(0.0, until - time.monotonic()))
    assert ready, f"nothing happened for {PATIENCE_S:g} s: {output}"
    for file in ready:
        chunk = os.read(file.fileno(), 1 << 16)
        assert chunk, f"the {files[file]} ended by itself"
        output[files[file]] += chunk


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def free_ports() -> list[int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return [one.getsockname()[1], other.getsockname()[1]]


def live(folder: str, ports: list[int], role: str, run: str) -> None:
    """One node, until it is killed or told to stop."""
    places = [Place(Path(folder), one, port) for one, port in zip((SENDER, RECEIVER), ports, strict=True)]
    own, other = places if role == SENDER else places[::-1]
    with opened(Home(own.home), None, lambda net: replace(net, listen=(own.address.text,), mdns=False)) as node:

        async def main() -> None:
            services = [*services_of(node), ProofService(node, role, run, other)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop_on_signal, node)
                await node.run(services)
                nursery.cancel_scope.cancel()

        trio.run(main)


async def stop_on_signal(node: Node) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        await anext(signals)
        node.request_stop()


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--node"]:
        live(*json.loads(arguments[1]))
    else:
        print(prove(*map(int, arguments or ["20"])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
