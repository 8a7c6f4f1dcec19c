"""Fuzz target: any MessagePack value as the arguments of any operation, asked by anybody, through the gate."""

from nzcore.base.errors import PeerError
from nzcore.base.scopes import Scope
from nzcore.codec.frames import unpack
from nzcore.control.gate import admit
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Principal

NAMES = sorted(OPERATIONS)
PRINCIPALS = (
    Principal("owner", "1000"),
    Principal("peer", "nzn1", scopes=frozenset(Scope)),
    Principal("module", "chat", grants=frozenset(f"call:{name}" for name in NAMES)),
)


def target(data: bytes) -> None:
    """Two bytes choose the operation and the principal, the rest is the arguments."""
    if len(data) < 2:
        return
    try:
        admission = admit(PRINCIPALS[data[1] % len(PRINCIPALS)], NAMES[data[0] % len(NAMES)], unpack(data[2:]))
    except PeerError:
        return
    assert isinstance(admission.args, admission.operation.args)
    assert admission.verdict.allowed
