"""Any bytes as any flight of a handshake, whole and in two pieces: an end, nothing yet, or PeerError; and payloads.

The fault in a message is under its encryption, so the bytes also stand in for what an authentic peer says.
"""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.proto.handshake.machine import Established, Initiator, Responder
from nzcore.proto.handshake.payload import PAYLOAD_BYTES, decode_payload
from nzcore.proto.handshake.preface import decode_preface
from tools.vectors.handshake_cast import Facts, FixedInitiator, FixedResponder, node

_ALICE, _BOB = node("alice"), node("bob")
_KNOWN = Facts()
_FIRST = FixedInitiator(_ALICE, _KNOWN, target=_BOB.node).outgoing()


def target(data: bytes) -> None:
    """Whoever fails is dead and has nothing to send; who does not has an end or waits for more."""
    with suppress(PeerError):
        assert decode_preface(data).encode() == data
    with suppress(PeerError):
        decode_payload(data)
    middle = len(data) // 2
    for pieces in ([data], [data[:middle], data[middle:]]):
        _feed(FixedResponder(_BOB, _KNOWN), pieces)
        _feed(FixedInitiator(_ALICE, _KNOWN, target=_BOB.node), pieces)
    waiting = FixedResponder(_BOB, _KNOWN)
    waiting.receive(_FIRST)
    second = waiting.outgoing()
    _feed(waiting, [data])
    if len(data) % 8 == 0 and len(data) <= PAYLOAD_BYTES:  # dear, so not each time
        _say(data, second)


def _say(data: bytes, second: bytes) -> None:
    """As the payload of an authentic message 3."""
    responder = FixedResponder(_BOB, _KNOWN)
    responder.receive(_FIRST)
    assert responder.outgoing() == second
    saying = FixedInitiator(_ALICE, _KNOWN, target=_BOB.node, payload=data or b"\0")
    assert saying.outgoing() == _FIRST
    saying.receive(second)
    _feed(responder, [saying.outgoing()])


def _feed(machine: Initiator | Responder, pieces: list[bytes]) -> None:
    established: Established | None = None
    for piece in pieces:
        try:
            established = machine.receive(piece)
        except PeerError:
            assert not machine.may_answer
            assert machine.outgoing() == machine.rest == b""
            return
        if established is not None:
            break
    assert machine.may_answer is (established is not None)
