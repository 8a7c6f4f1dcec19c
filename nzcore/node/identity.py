"""The node's own identity at run time: its keys and the vault behind them, and everything that changes either.

A change is written to the vault before it counts, so what the node says is what it would say after a crash.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.base.instant import WallTime
from nzcore.crypto.keys import AgreementPublic, Signature
from nzcore.crypto.secrets import SecretBytes, StoreKey
from nzcore.node.export import seal_export, take_out
from nzcore.node.home import Home
from nzcore.node.secrets import Secrets
from nzcore.node.setup import write_certificate
from nzcore.proto.envelope.opener import EnvelopeKey, Opener, open_head
from nzcore.proto.envelope.seal import Known, Sender, Transcript, make_seal
from nzcore.proto.envelope.sealer import Sealer
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.document import DocumentSignature, sign_document
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.node_keys import NodeKeys, verify_message
from nzcore.proto.identity.root import Root
from nzcore.proto.identity.rotation import PendingKeys, RotationRequest, approve
from nzcore.store.vault import Lock, Vault


class Safe(Protocol):
    """What the keys are kept in: an open `Vault`, or memory in a simulation."""

    def replace(self, contents: bytes) -> None:
        """Puts `contents` in place of what it holds, durably and atomically. *Raises* UnavailableError `store.*`."""

    def wipe(self) -> None:
        """Forgets what opens it."""


class HomeVault:
    """The open vault of a home, which keeps the keys, and what it is sealed under."""

    def __init__(self, vault: Vault, key_file: Path) -> None:
        """Use `open`."""
        self._vault = vault
        self._key_file = key_file

    @classmethod
    def open(cls, home: Home, passphrase: str | None) -> Self:
        """Opens it, and removes what a change of the lock left when it was interrupted. *Raises* as `unlock` below."""
        home.require()
        if passphrase is None and home.needs_passphrase():
            raise UsageError("node.passphrase-needed")
        key_file = None if home.needs_passphrase() else home.vault_key
        vault = Vault.open(home.vault, passphrase=passphrase if key_file is None else None, key_file=key_file)
        try:
            vault.tidy(home.vault_key)
            return cls(vault, home.vault_key)
        except BaseException:
            vault.wipe()
            raise

    def held(self) -> Secrets:
        """What it holds now. *Raises* UnavailableError `node.damaged-vault`, and as `Vault.contents`."""
        contents = self._vault.contents()
        try:
            return Secrets.decode(contents.view())
        finally:
            contents.wipe()

    def replace(self, contents: bytes) -> None:
        self._vault.replace(contents)

    def next_lock(self, current: str | None, new: str | None) -> Lock:
        """As `LocalIdentity.next_lock`."""
        lock = self._vault.lock
        if current is None and lock.kind == "passphrase":
            raise UsageError("node.passphrase-needed")
        if current is not None and not lock.is_opened_by(current):
            raise UsageError("store.wrong-passphrase")
        return Lock.by_key_file() if new is None else Lock.by_passphrase(new)

    def relock(self, lock: Lock) -> None:
        self._vault.relock(lock, self._key_file)

    def wipe(self) -> None:
        self._vault.wipe()


class Unsealed(NamedTuple):
    """What an envelope held, and who sealed it, proven."""

    sender: Sender
    content: bytes


class LocalIdentity:
    """The keys of a node: it signs, verifies, agrees, seals and unseals in the node's name.

    Made by `unlock` for the node in a home; whoever made it wipes it.
    """

    def __init__(
        self,
        safe: Safe,
        secrets: Secrets,
        *,
        publish: Callable[[Certificate], None] = lambda certificate: None,
        vault: "HomeVault | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Takes over `safe` and `secrets`, which it holds already. `publish` is told of each certificate that counts;
        `vault` is `safe` where that is a home's; `clock` gives seconds since 1970."""
        self._safe = safe
        self._secrets = secrets
        self._publish = publish
        self._vault = vault
        self._clock = clock
        publish(self.certificate)

    @classmethod
    def unlock(cls, home: Home, passphrase: str | None) -> Self:
        """Opens the vault: with the passphrase, or with the home's key file where it is None.

        *Raises* UnavailableError `node.no-home`, `node.damaged-home`, `node.damaged-vault`, `store.*`; UsageError
        `store.wrong-passphrase`, `node.passphrase-needed`.
        """
        vault = HomeVault.open(home, passphrase)
        try:
            secrets = vault.held()
            try:
                return cls(vault, secrets, publish=partial(_publish, home), vault=vault)
            except BaseException:
                secrets.wipe()
                raise
        except BaseException:
            vault.wipe()
            raise

    @property
    def keys(self) -> NodeKeys:
        return self._secrets.keys

    @property
    def certificate(self) -> Certificate:
        return self._secrets.keys.certificate

    @property
    def data_key(self) -> StoreKey:
        """The key of the home's store."""
        return self._secrets.data_key

    def sign(self, label: str, *parts: bytes) -> Signature:
        """A signature (64 B) over `label ‖0‖ parts`; one label a purpose."""
        return self.keys.sign_message(label, *parts)

    @staticmethod
    def verify(certificate: Certificate, signature: bytes, label: str, *parts: bytes) -> None:
        """Returns if the node of `certificate` made `signature` with `sign`. *Raises* PeerError
        `crypto.bad-signature`."""
        verify_message(certificate, signature, label, *parts)

    def agree(self, remote: AgreementPublic) -> bytes:
        """The 32-byte X25519 secret with `remote`: not uniform, hash it before use. *Raises* PeerError
        `crypto.zero-agreement`."""
        return self.keys.agree(remote)

    def seal(self, content: bytes, recipient: Certificate) -> bytes:
        """An envelope that only `recipient` opens. *Raises* PeerError `envelope.recipient-retired`,
        `envelope.weak-recipient`, `envelope.sender-retired`."""
        sealer = self.sealer(recipient)
        return b"".join((sealer.start(), sealer.chunk(content), sealer.finish()))

    def unseal(self, envelope: bytes, known: Known | None = None) -> Unsealed:
        """Content and sender of an envelope for this node; `known` as in `Opener.finish`. *Raises* PeerError
        `envelope.*`."""
        opener = self.opener()
        content = b"".join(opener.feed(envelope))
        return Unsealed(opener.finish(known), content)

    def sealer(self, recipient: Certificate) -> Sealer:
        """Seals content of any size piece by piece. *Raises* PeerError `envelope.recipient-retired`."""
        return Sealer(recipient, self.sign_envelope)

    def opener(self) -> Opener:
        """Opens an envelope of any size piece by piece; nothing of it is good before `finish`."""
        return Opener(self.open_envelope)

    def sign_envelope(self, transcript: Transcript) -> bytes:
        """The seal of an envelope that another process makes. *Raises* as `make_seal`."""
        return make_seal(self.keys, transcript, issued=self._now())

    def open_envelope(self, head: bytes) -> EnvelopeKey:
        """The key of one envelope for this node, for a process that opens it. *Raises* as `open_head`."""
        return open_head(self.keys, head)

    def sign_document(self, digest: bytes, size: int) -> DocumentSignature:
        """A detached signature of a file by its SHA-256. *Raises* PeerError `identity.bad-document`."""
        return sign_document(self.keys, digest, size, issued=self._now())

    def rotate(self, mnemonic: Mnemonic) -> Certificate:
        """Replaces the keys at once, certified by the mnemonic, which the caller wipes.

        *Raises* PeerError `identity.other-identity` for another identity's words; UnavailableError `store.*`.
        """
        pending = PendingKeys.generate()
        try:
            with Root.from_mnemonic(mnemonic) as root:
                answer = approve(root, pending.request(self.certificate), self._now())
            self._take_up(pending, answer)
        except BaseException:
            if self.certificate.sign_key != pending.sign_key:  # else they count already, and only telling it failed
                pending.wipe()
            raise
        return answer

    def request(self) -> RotationRequest:
        """Fresh keys, kept in the vault until `apply`, and the text that asks for their certificate.

        Asking again replaces the keys of an earlier request.
        """
        pending, earlier = PendingKeys.generate(), self._secrets.pending
        try:
            self._store(Secrets(self.keys, self.data_key, self._secrets.backup, pending))
        except BaseException:
            pending.wipe()
            raise
        if earlier is not None:
            earlier.wipe()
        return pending.request(self.certificate)

    def apply(self, answer: Certificate) -> Certificate:
        """Takes up the keys that `answer` certifies; harmless when repeated, as after a crash before the reply.

        *Raises* UsageError `node.no-request` where none is pending; PeerError as `PendingKeys.apply`.
        """
        if answer.encoded == self.certificate.encoded:
            self._publish(answer)
            return answer
        if self._secrets.pending is None:
            raise UsageError("node.no-request")
        self._take_up(self._secrets.pending, answer)
        return answer

    def export(self, passphrase: str) -> str:
        """The keys, sealed under `passphrase`. Blocks for about 0.3 s."""
        contents = self.take_out()
        try:
            return seal_export(contents, passphrase)
        finally:
            contents.wipe()

    def take_out(self) -> SecretBytes:
        """What `seal_export` seals, taken at once, so that sealing it in a thread meets no rotation. Wipe it."""
        return take_out(self._secrets)

    def next_lock(self, current: str | None, new: str | None) -> Lock:
        """What the vault is to be sealed with next: `new`, or a key file where it is None. `current` opens it so far.

        For a thread: blocks for 0.3 s a passphrase, and changes nothing. Give it to `relock`. *Raises* UsageError
        `store.wrong-passphrase`, `node.passphrase-needed`, `store.other-lock` for a passphrase where a key file opens
        the vault, `crypto.bad-passphrase`; UnavailableError `node.no-home` where there is no vault.
        """
        return self._home_vault().next_lock(current, new)

    def relock(self, lock: Lock) -> None:
        """Seals the vault under `lock`, which it takes over. A crash leaves it under the old one or the new one, and
        the next `unlock` removes what else was left. *Raises* as `Vault.relock`."""
        self._home_vault().relock(lock)

    def kept(self) -> Certificate:
        """The certificate that is kept beside the keys: the one that the node would have after a crash.

        *Raises* UnavailableError `node.damaged-vault`, `store.*`; UsageError as opening the vault does.
        """
        if self._vault is None:
            return self.certificate
        secrets = self._vault.held()
        secrets.wipe()
        return secrets.keys.certificate

    def wipe(self) -> None:
        self._secrets.wipe()
        self._safe.wipe()

    def _take_up(self, pending: PendingKeys, answer: Certificate) -> None:
        """The vault first: a crash before the public copy is written leaves what the next start brings up to date."""
        before = self._secrets
        keys = pending.apply(self.certificate, answer)
        self._store(Secrets(keys, self.data_key, before.backup))
        before.keys.wipe()  # handshakes under way with them end in a refusal, as their channels would
        if before.pending is not None and before.pending is not pending:
            before.pending.wipe()
        self._publish(keys.certificate)

    def _home_vault(self) -> "HomeVault":
        if self._vault is None:
            raise UnavailableError("node.no-home", "the keys of this node lie in no vault")
        return self._vault

    def _store(self, secrets: Secrets) -> None:
        self._safe.replace(secrets.encode())
        self._secrets = secrets

    def _now(self) -> WallTime:
        return WallTime(int(self._clock()))


def _publish(home: Home, certificate: Certificate) -> None:
    """Brings the public copy of the certificate up to date; the one in the vault is the truth."""
    text = certificate.text.encode("ascii")
    try:
        current = home.read_certificate()
    except UnavailableError:  # absent or unreadable: written anew, or that says what is wrong
        current = b""
    if current != text:
        write_certificate(home, certificate)
