"""Cards: a node's certificate and where to find it, for anybody (NZ-IDENTITY-01 §7).

Public, and only the certificate in it is signed: addresses are hints, and a wrong one costs a dial that fails.
"""

from dataclasses import dataclass, field
from typing import Self

from nzcore.base import limits
from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import NodeId
from nzcore.codec import cbor
from nzcore.proto.identity import armour
from nzcore.proto.identity.address import ADDRESS_BYTES, Address
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.fields import VERSION, Fields

TEXT_PREFIX = "nzc"
CARD_BYTES = 1024  # encoded, before base32: about 1,650 characters, a QR code that a telephone still reads
MAX_ADDRESSES = 8


@dataclass(frozen=True, slots=True)
class Card:
    """A valid certificate with at most eight distinct addresses to dial, best first."""

    certificate: Certificate
    addresses: tuple[Address, ...]
    encoded: bytes = field(compare=False, repr=False)

    @classmethod
    def make(cls, certificate: Certificate, addresses: tuple[Address, ...] = ()) -> Self:
        """A card of a node; the caller chooses the addresses.

        *Raises* UsageError `identity.bad-argument` for more than eight, one twice, one that can't be dialled, or more
        than 1 KiB in all; PeerError `identity.retired` for a final certificate.
        """
        if len(addresses) > MAX_ADDRESSES or not _useful(addresses):
            raise UsageError("identity.bad-argument", addresses=len(addresses))
        encoded = cbor.encode({0: VERSION, 1: certificate.encoded, 2: [address.text for address in addresses]})
        if len(encoded) > CARD_BYTES:
            raise UsageError("identity.bad-argument", size=len(encoded))
        return cls.parse(encoded)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """*Raises* PeerError `codec.*`, `identity.bad-card`, `identity.bad-address`, `identity.unknown-version`,
        `identity.retired`, and as `Certificate.parse` for the certificate inside.
        """
        value = cbor.decode(data, max_bytes=CARD_BYTES)
        fields = Fields(value, "identity.bad-card", required={1, 2})
        texts = fields.texts(2, MAX_ADDRESSES, ADDRESS_BYTES)
        addresses = tuple(Address.parse(text) for text in texts)
        if [address.text for address in addresses] != texts or not _useful(addresses):
            raise PeerError("identity.bad-card", field=2)
        certificate = Certificate.parse(fields.binary(1, 1, limits.CERTIFICATE_BYTES))
        if certificate.final:
            raise PeerError("identity.retired", certificate=certificate)
        return cls(certificate, addresses, bytes(data))

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """The card in a `nzc:` text, however it was wrapped or cased.

        *Raises* PeerError as `parse`, and `identity.bad-text`.
        """
        return cls.parse(armour.decode(TEXT_PREFIX, text, max_bytes=CARD_BYTES))

    @property
    def text(self) -> str:
        """One line: for a message, a mail, a terminal."""
        return armour.encode(TEXT_PREFIX, self.encoded)

    @property
    def qr_text(self) -> str:
        """The same in upper case only, which a QR code holds in its alphanumeric mode (5.5 bits a character)."""
        return self.text.upper()

    @property
    def node(self) -> NodeId:
        return self.certificate.node


def _useful(addresses: tuple[Address, ...]) -> bool:
    return len(set(addresses)) == len(addresses) and all(address.dialable for address in addresses)
