"""What a module may ask for: capabilities as text, what each covers (spec/module.md §3). Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from nzcore.base.errors import PeerError, UsageError
from nzcore.kernel import topics

CAPABILITIES = 64
"""Most capabilities of one module: what an owner could still be asked to read."""

CHARACTERS = 256
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,23}")
_PROTOCOL = re.compile(r"/[a-z0-9][a-z0-9._/-]{0,62}")
_OPERATION = re.compile(r"[a-z][a-z0-9-]{0,31}\.[a-z][a-z0-9_]{0,47}")

SIMPLE = {
    "files": "keep files in a folder of its own",
    "timer": "act at times of its own choosing",
    "peers": "see who your peers are and who is connected",
    "sign": "sign in your node's name, under a label that is the module's",
    "net:none": "promises to reach no network",
}
"""Capabilities without a parameter, and what each means to an owner."""

_MEANINGS = {
    "kv": "keep values, sealed, under {}",
    "bus:publish": "tell this node of {}",
    "bus:subscribe": "hear of {} in this node",
    "stream": "exchange {} streams with peers",
    "fabric": "exchange messages and calls on {} with peers",
    "call": "do {} in your name",
}


class Capability(NamedTuple):
    """One capability: its kind, and what it is about (empty for those without a parameter)."""

    kind: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.about}" if self.about else self.kind

    @property
    def meaning(self) -> str:
        """What it lets the module do, for whoever is asked to allow it."""
        return _MEANINGS[self.kind].format(self.about) if self.about else SIMPLE[self.kind]


def parse(text: str, module: str) -> Capability:
    """The capability that `module`'s manifest asks for. *Raises* PeerError `module.bad-manifest`."""
    if text in SIMPLE:
        return Capability(text)
    head, found, rest = text.partition(":")
    if head == "bus":
        verb, found, rest = rest.partition(":")
        head = f"bus:{verb}"
    if not found or len(text) > CHARACTERS or head not in _MEANINGS or not _is_about(head, rest):
        raise PeerError("module.bad-manifest", f"{text[:80]!r} is no capability")
    if head == "bus:publish" and rest.split(".")[0] != module:
        raise PeerError("module.bad-manifest", f"{text!r}: a module speaks in its own name, as in {module}.**")
    if head == "stream" and rest.startswith("/nz/"):
        raise PeerError("module.bad-manifest", f"{text!r}: /nz/ is for protocols of the node")
    return Capability(head, rest)


def _is_about(kind: str, about: str) -> bool:
    if kind == "kv":
        return _NAMESPACE.fullmatch(about) is not None
    if kind == "stream":
        return _PROTOCOL.fullmatch(about) is not None
    if kind == "call":
        return _OPERATION.fullmatch(about) is not None
    try:
        topics.check_pattern(about)
    except UsageError:
        return False
    return True


class Grants:
    """What one module may use."""

    def __init__(self, capabilities: Iterable[Capability]) -> None:
        self.capabilities = tuple(capabilities)
        self._exact = frozenset(self.capabilities)

    @property
    def calls(self) -> frozenset[str]:
        """As `control` knows them: `call:` and an operation's name."""
        return frozenset(str(one) for one in self.capabilities if one.kind == "call")

    def allows(self, kind: str, about: str = "") -> bool:
        """Whether something of this kind may be used; topics and patterns count where a granted pattern covers them."""
        if Capability(kind, about) in self._exact:
            return True
        if kind not in ("bus:publish", "bus:subscribe", "fabric"):
            return False
        return any(one.kind == kind and covers(one.about, about) for one in self.capabilities)

    def require(self, kind: str, about: str = "") -> None:
        """*Raises* UsageError `module.not-granted` with the line to add."""
        if not self.allows(kind, about):
            line = str(Capability(kind, about))
            raise UsageError(
                "module.not-granted",
                f'{line} was not granted; add to module.toml, capabilities: "{line}"',
                capability=line,
            )


def covers(granted: str, wanted: str) -> bool:
    """Whether every topic under the pattern `wanted` is also under `granted`."""
    have, want = granted.split("."), wanted.split(".")
    if have[-1] == "**":
        have = have[:-1]
        if want[-1] == "**":
            want = want[:-1]
        if len(want) < len(have):
            return False
        want = want[: len(have)]
    elif want[-1] == "**":
        return False
    return len(have) == len(want) and all(h in ("*", w) for h, w in zip(have, want, strict=True))
