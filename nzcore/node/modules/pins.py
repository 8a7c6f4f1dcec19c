"""What the owner has allowed: for each module the hash of every file, the capabilities, and whether it is to run.

Kept in the store, so a pin is sealed and can't be edited by whoever can write to the home's folders.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins, convert
from nzcore.node.modules.folder import Snapshot, difference
from nzcore.store.kv import KV

NAMESPACE = "modules"


class Pin(Struct, frozen=True, kw_only=True):
    """One module as it was enabled."""

    version: str
    enabled: bool
    capabilities: tuple[str, ...]
    requires: dict[str, str]
    files: dict[str, bytes]
    enabled_at: int

    def differs(self, snapshot: Snapshot) -> str:
        """How a folder differs from what was pinned, in words; empty where it does not."""
        return difference(self.files, snapshot.hashes)


def pin_of(snapshot: Snapshot, now: float) -> Pin:
    """The pin of exactly these files."""
    manifest = snapshot.manifest
    return Pin(
        version=manifest.version,
        enabled=True,
        capabilities=tuple(map(str, manifest.capabilities)),
        requires=dict(manifest.requires),
        files=dict(snapshot.hashes),
        enabled_at=int(now),
    )


class Pins:
    """All pins of a node. `load` before use; a change is durable when it returns."""

    def __init__(self, kv: Callable[[], KV]) -> None:
        self._kv = kv
        self._pins: dict[str, Pin] = {}

    async def load(self) -> None:
        """*Raises* UnavailableError `store.*`."""
        kv = self._kv()
        self._pins.clear()
        for name in await kv.list(NAMESPACE):
            entry = await kv.get(NAMESPACE, name)
            if entry is not None:
                self._pins[name] = convert(unpack(entry.value), Pin)

    def get(self, name: str) -> Pin | None:
        return self._pins.get(name)

    def all(self) -> Mapping[str, Pin]:
        return self._pins

    async def put(self, name: str, pin: Pin) -> None:
        await self._kv().put(NAMESPACE, name, pack(builtins(pin)))
        self._pins[name] = pin

    async def drop(self, name: str) -> None:
        await self._kv().delete(NAMESPACE, name)
        self._pins.pop(name, None)
