"""`nzcore send` of one large file between two real nodes, beside one bulk stream of a channel.

Both homes lie in memory where the machine has such a folder: what is measured is the way, not the disk. That memory is
written once before the clock starts: in a virtual machine, pages that nobody has touched yet cost up to ten times as
much at their first write, for the host has to find them (measured: 3 CPU seconds a GB at the receiver instead of 0.5).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nzcore.node.home import Home
from nzcore.store.lock import holder
from tools.benchmarks.cpu import seconds_of
from tools.benchmarks.node import COMMAND, _nzcore, _up

MEGABYTES = 1074
"""1 GiB."""

QUICK_MEGABYTES = 128
CONNECT_TRIES = 20
_MEMORY = Path("/dev/shm")
_BLOCK, _KEPT = 1 << 18, 4096  # bytes written at once, and kept of as many


class Pair:
    """Two running nodes that know each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alice, self.bob = folder / "alice", folder / "bob"

    def cpu_s(self) -> float:
        """CPU seconds that both nodes have used so far."""
        return sum(seconds_of(pid) for home in (self.alice, self.bob) if (pid := holder(Home(home).lock)) is not None)

    def command(self, home: Path, *words: str) -> str:
        """Standard output of a command on one of the homes."""
        done = subprocess.run([COMMAND, "--home", str(home), *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"nzcore {words[0]} failed: {done.stderr.strip()}")
        return done.stdout


@contextmanager
def pair() -> Iterator[Pair]:
    """Alice and Bob, until the block ends."""
    where = str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None
    with ExitStack() as stack:
        made = Pair(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nzb-", dir=where))))
        for home in (made.alice, made.bob):
            _nzcore(home, "init", "--no-passphrase", "--name", home.name, "--json")
            stack.enter_context(_up(home))
        for home, other in ((made.alice, made.bob), (made.bob, made.alice)):
            card = made.folder / f"{other.name}.card"
            card.write_text(json.loads(made.command(other, "identity", "card", "--json"))["card"])
            made.command(home, "peer", "add", str(card), "--json")
        _connect(made)
        yield made


def _connect(made: Pair) -> None:
    """Both began to dial when they knew only one of each other: an early refusal is no answer yet."""
    for attempt in range(CONNECT_TRIES):
        try:
            made.command(made.alice, "peer", "connect", "bob")
            return
        except RuntimeError:
            if attempt == CONNECT_TRIES - 1:
                raise
            time.sleep(0.25)


def measure(megabytes: int = MEGABYTES) -> dict[str, float]:
    """`mb_s` from the command's start to the receipt, the file hashed and synchronised on the other side.

    Also `seconds`, and `cpu_s_gb`: both nodes' CPU seconds for a gigabyte.
    """
    with pair() as nodes:
        path = nodes.folder / "large"
        block = os.urandom(1 << 20)
        with path.open("wb") as file:
            for _ in range(megabytes * 1_000_000 >> 20):
                file.write(block)
        size = path.stat().st_size
        _touch(nodes.folder, size)
        cpu = nodes.cpu_s()
        sent = json.loads(nodes.command(nodes.alice, "send", "bob", str(path), "--json"))
        cpu = nodes.cpu_s() - cpu
        if sent["bytes"] != size or sent["resumed_bytes"]:
            raise RuntimeError(f"not what was to be sent: {sent}")
        return {"mb_s": size / 1e6 / sent["seconds"], "seconds": sent["seconds"], "cpu_s_gb": cpu / (size / 1e9)}


def _touch(folder: Path, size: int) -> None:
    """Has the system find memory for `size` bytes in `folder`, and leaves it free.

    A page of every 256 KiB stays: what is free in large pieces a guest may give back to its host before it is used.
    """
    block = os.urandom(_BLOCK)
    with (folder / "touched").open("wb") as touched, (folder / "kept").open("wb") as kept:
        for _ in range(0, size, _BLOCK):
            touched.write(block)
            kept.write(block[:_KEPT])
            kept.flush()
    (folder / "touched").unlink()


if __name__ == "__main__":
    print(measure(QUICK_MEGABYTES if "--quick" in sys.argv else MEGABYTES))
