"""The root of an identity: what the mnemonic derives, alive only while something is signed (NZ-IDENTITY-01 §4, §5).

The one place that signs certificates and retirements. Make it, use it, wipe it: `with Root.from_mnemonic(m) as root`.
"""

from types import TracebackType
from typing import Self

from nzcore.base.errors import PeerError, UsageError
from nzcore.base.ids import IdentityId, NodeId
from nzcore.base.instant import WallTime
from nzcore.crypto.hashing import hkdf
from nzcore.crypto.keys import AgreementPublic, AgreementSecret, SigningKey, VerifyKey
from nzcore.crypto.secrets import Hidden, SecretBytes
from nzcore.proto.identity.certificate import (
    LABEL,
    MAX_EPOCH,
    NODE_LABEL,
    NONCE_BYTES,
    RETIRE_LABEL,
    Certificate,
    Flags,
    Retirement,
    compute_node_id,
)
from nzcore.proto.identity.fields import MAX_ISSUED, U32, VERSION
from nzcore.proto.identity.mnemonic import SEED_BYTES, Mnemonic
from nzcore.proto.identity.names import sanitise
from nzcore.proto.identity.signed import sign_object

ROOT_INFO = b"NZ-IDENTITY-01 root"
BACKUP_INFO = b"NZ-IDENTITY-01 backup"
MAX_INDEX = U32


class Root(Hidden):
    """An identity's secrets: signs certificates of its nodes and its own retirement."""

    __slots__ = ("_backup", "_key", "_seed", "backup_public", "identity")

    identity: IdentityId
    backup_public: AgreementPublic

    def __init__(self, seed: SecretBytes) -> None:
        """Derives from the 64-byte BIP-39 `seed`, which it takes over; use `from_mnemonic`.

        *Raises* UsageError `identity.bad-argument` for another size.
        """
        ikm = seed.view()
        if len(ikm) != SEED_BYTES:
            raise UsageError("identity.bad-argument", size=len(ikm))
        self._seed = seed
        self._key = SigningKey.from_seed(hkdf(ikm, info=ROOT_INFO, length=32))
        self._backup = AgreementSecret.from_bytes(hkdf(ikm, info=BACKUP_INFO, length=32))
        self.identity = IdentityId(self._key.public)
        self.backup_public = self._backup.public

    @classmethod
    def from_mnemonic(cls, mnemonic: Mnemonic) -> Self:
        """The root of the identity behind these words; the caller wipes both."""
        return cls(mnemonic.seed())

    def nonce(self, index: int) -> bytes:
        """16 bytes that make node number `index` (0 to 2³²−1) of this identity.

        *Raises* UsageError `identity.bad-argument`, `crypto.wiped`.
        """
        if not 0 <= index <= MAX_INDEX:
            raise UsageError("identity.bad-argument", index=index)
        return hkdf(self._seed.view(), info=NODE_LABEL + index.to_bytes(4, "big"), length=NONCE_BYTES)

    def node_id(self, index: int) -> NodeId:
        """The NodeId of node number `index`: the same on every machine, for ever."""
        return compute_node_id(self.identity, self.nonce(index))

    def certify(
        self,
        index: int,
        sign_key: VerifyKey,
        dh_key: AgreementPublic,
        *,
        epoch: int,
        issued: WallTime,
        name: str = "",
        flags: Flags = Flags.NONE,
    ) -> Certificate:
        """A certificate of node number `index` with these keys; `name` is sanitised first, empty for none.

        *Raises* UsageError `identity.bad-argument` for an epoch outside 1 to 2³²−1, an `issued` outside 0 to 2³⁷−1, or
        keys that are not all different; `crypto.wiped`.
        """
        return self._certify(self.nonce(index), sign_key, dh_key, epoch, name, flags, issued)

    def recertify(
        self,
        current: Certificate,
        sign_key: VerifyKey,
        dh_key: AgreementPublic,
        *,
        epoch: int,
        issued: WallTime,
        name: str | None = None,
        flags: Flags | None = None,
    ) -> Certificate:
        """The next certificate of the node that `current` certifies; name and flags stay unless given.

        *Raises* PeerError `identity.other-identity` where another root made `current`; UsageError as `certify`, and
        where `epoch` is not above the current one.
        """
        if current.root != self.identity:
            raise PeerError("identity.other-identity", expected=self.identity, got=current.root)
        if epoch <= current.epoch:
            raise UsageError("identity.bad-argument", epoch=epoch)
        return self._certify(
            current.nonce,
            sign_key,
            dh_key,
            epoch,
            current.name if name is None else name,
            current.flags if flags is None else flags,
            issued,
        )

    def retire_node(self, current: Certificate, *, epoch: int, issued: WallTime) -> Certificate:
        """The final certificate of a node, over its current keys: retires it for ever. *Raises* as `recertify`."""
        flags = current.flags | Flags.FINAL
        return self.recertify(current, current.sign_key, current.dh_key, epoch=epoch, issued=issued, flags=flags)

    def retire_identity(self) -> Retirement:
        """The statement that retires this identity and all its nodes for ever. *Raises* UsageError `crypto.wiped`."""
        return Retirement.parse(sign_object(self._key, RETIRE_LABEL, {0: VERSION, 1: self.identity}))

    def wipe(self) -> None:
        """Forgets the secrets; public values stay readable. Safe to call twice."""
        self._seed.wipe()
        self._key.wipe()
        self._backup.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<Root of {self.identity.text}, secrets hidden>"

    __str__ = __repr__

    def _certify(
        self,
        nonce: bytes,
        sign_key: VerifyKey,
        dh_key: AgreementPublic,
        epoch: int,
        name: str,
        flags: Flags,
        issued: WallTime,
    ) -> Certificate:
        if (
            not 1 <= epoch <= MAX_EPOCH
            or not 0 <= issued <= MAX_ISSUED
            or len({bytes(self.identity), bytes(sign_key), bytes(dh_key)}) < 3
        ):
            raise UsageError("identity.bad-argument", epoch=epoch, issued=issued)
        value: dict[int, int | bytes | str] = {
            0: VERSION,
            1: self.identity,
            2: nonce,
            3: epoch,
            4: sign_key,
            5: dh_key,
            6: int(flags),
            8: int(issued),
        }
        if suggestion := sanitise(name):
            value[7] = suggestion
        return Certificate.parse(sign_object(self._key, LABEL, value))
