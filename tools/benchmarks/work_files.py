"""`nzcore send` of one large file between two real nodes, beside one bulk stream of a channel.

Both homes lie in memory where the machine has such a folder: what is measured is the way, not the disk.
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

from tools.benchmarks.node import COMMAND, _nzcore, _up

MEGABYTES = 1074
"""1 GiB."""

QUICK_MEGABYTES = 128
CONNECT_TRIES = 20
_MEMORY = Path("/dev/shm")


class Pair:
    """Two running nodes that know each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alice, self.bob = folder / "alice", folder / "bob"

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
    """`mb_s` from the command's start to the receipt, the file hashed and synchronised on the other side."""
    with pair() as nodes:
        path = nodes.folder / "large"
        block = os.urandom(1 << 20)
        with path.open("wb") as file:
            for _ in range(megabytes * 1_000_000 >> 20):
                file.write(block)
        size = path.stat().st_size
        sent = json.loads(nodes.command(nodes.alice, "send", "bob", str(path), "--json"))
        if sent["bytes"] != size or sent["resumed_bytes"]:
            raise RuntimeError(f"not what was to be sent: {sent}")
        return {"mb_s": size / 1e6 / sent["seconds"], "seconds": sent["seconds"]}


if __name__ == "__main__":
    print(measure(QUICK_MEGABYTES if "--quick" in sys.argv else MEGABYTES))
