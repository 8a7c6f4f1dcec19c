"""Who is let in: the question that the network asks the node at the end of each incoming handshake.

Knows no tickets and no windows. `policy` is asked inside the handshake and only looks; `redeem` afterwards may change
what is stored, and only then the channel greets.
"""

from typing import Protocol

from nzcore.base.scopes import Scope
from nzcore.net.guest import Guest
from nzcore.proto.handshake.machine import Established
from nzcore.proto.handshake.preface import Mode
from nzcore.proto.handshake.verdict import NOT_ADMITTED
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.trust.view import TrustView


class Admission(Protocol):
    """Answers with "" for a welcome node, or with the code of the refusal."""

    def policy(self, certificate: Certificate, mode: Mode, tid: bytes) -> str:
        """Whether the node of `certificate` may come in by this door, as things stand; changes nothing."""

    async def redeem(self, fresh: Established) -> str:
        """Whether it comes in, now that it has proven who it is: durable before this returns. *Raises* UnavailableError
        where that can't be had: the connection is then closed without a word."""

    def host(self, guest: Guest) -> None:
        """Takes over a stranger who came through the pairing window, and closes it in the end."""


class TrustAdmission:
    """Lets in whom trust lets, and nobody else."""

    def __init__(self, trust: TrustView) -> None:
        self._trust = trust

    def policy(self, certificate: Certificate, mode: Mode, tid: bytes) -> str:
        known = mode is not Mode.WINDOW and self._trust.allows(certificate.node, Scope.CONNECT)
        return "" if known else NOT_ADMITTED

    async def redeem(self, fresh: Established) -> str:
        return ""

    def host(self, guest: Guest) -> None:
        guest.close(NOT_ADMITTED)
