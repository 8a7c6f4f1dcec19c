"""`nzcore send` of one large file between two real nodes, beside one bulk stream of a channel.

Both homes lie on the disk, where a user's files lie: the receiver lets go of what is written, so the same pages serve
again and again. In memory (`/dev/shm`) each page is a new one, and what that costs a virtual machine is for its host to
say. A disk that takes less than the channel brings is measured here, not the way to it.
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
from tools.benchmarks import files_bare
from tools.benchmarks.cpu import seconds_of
from tools.benchmarks.node import COMMAND, _nzcore, _up

MEGABYTES = 1074
"""1 GiB."""

QUICK_MEGABYTES = 128
CONNECT_TRIES = 20
_DISK = Path("/var/tmp")  # `/tmp` may be memory
_WARM_UP = 8  # part of the size that is sent first, for pages, windows and code


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
    with ExitStack() as stack:
        made = Pair(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nzb-", dir=_folder()))))
        for home in (made.alice, made.bob):
            _nzcore(home, "init", "--no-passphrase", "--name", home.name, "--json")
            stack.enter_context(_up(home))
        for home, other in ((made.alice, made.bob), (made.bob, made.alice)):
            card = made.folder / f"{other.name}.card"
            card.write_text(json.loads(made.command(other, "identity", "card", "--json"))["card"])
            made.command(home, "peer", "add", str(card), "--json")
        _connect(made)
        yield made


def _folder() -> Path:
    """Where files are written: a disk, where there is one."""
    return _DISK if os.access(_DISK, os.W_OK) else Path(tempfile.gettempdir())


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
        _send(nodes, "warm-up", megabytes // _WARM_UP)
        return _send(nodes, "large", megabytes)


def bare(megabytes: int = MEGABYTES) -> dict[str, float]:
    """What sending consists of, in two processes without nzcore, on the same disk: see `files_bare`."""
    for size in (megabytes // _WARM_UP, megabytes):
        figures = files_bare.measure(_folder(), size * 1_000_000 >> 20)
    return figures


def _send(nodes: Pair, name: str, megabytes: int) -> dict[str, float]:
    path = nodes.folder / name
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(megabytes * 1_000_000 >> 20):
            file.write(block)
        file.flush()
        os.fsync(file)  # or it would be written while it is sent
    size = path.stat().st_size
    cpu = nodes.cpu_s()
    sent = json.loads(nodes.command(nodes.alice, "send", "bob", str(path), "--json"))
    cpu = nodes.cpu_s() - cpu
    if sent["bytes"] != size or sent["resumed_bytes"]:
        raise RuntimeError(f"not what was to be sent: {sent}")
    return {"mb_s": size / 1e6 / sent["seconds"], "seconds": sent["seconds"], "cpu_s_gb": cpu / (size / 1e9)}


if __name__ == "__main__":
    print(measure(QUICK_MEGABYTES if "--quick" in sys.argv else MEGABYTES))
