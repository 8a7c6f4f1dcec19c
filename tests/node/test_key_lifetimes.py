"""Keys are replaced whole, whenever a process dies, and forgotten as soon as nobody may use them any more."""

import pickle
from contextlib import suppress
from pathlib import Path

import pytest

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.base.instant import WallTime
from nzcore.codec.frames import pack, unpack
from nzcore.codec.types import builtins
from nzcore.crypto.passphrase import MIN_MEMORY, MIN_OPERATIONS, Cost
from nzcore.crypto.secrets import SecretBytes, StoreKey
from nzcore.node.export import open_export, seal_export
from nzcore.node.home import Home
from nzcore.node.identity import LocalIdentity
from nzcore.node.secrets import Secrets
from nzcore.node.setup import create_home, import_home, make_secrets
from nzcore.proto.identity.certificate import Certificate
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.proto.identity.node_keys import NodeKeys
from nzcore.proto.identity.root import Root
from nzcore.proto.identity.rotation import RotationRequest, approve
from nzcore.store.vault import Lock, Vault
from tests.dying import Killed, kill_at
from tests.refusals import code_of

WORDS = "abandon " * 23 + "art"
PHRASE = "a phrase"


def wiped(keys: NodeKeys) -> bool:
    try:
        keys.seeds()
    except UsageError as error:
        return error.code == "crypto.wiped"
    return False


def published(home: Home) -> Certificate:
    return Certificate.parse_text(home.certificate.read_text())


def answer_to(request: RotationRequest) -> Certificate:
    with Mnemonic.parse(WORDS) as mnemonic, Root.from_mnemonic(mnemonic) as root:
        return approve(root, request, 2_000_000_000)


@pytest.mark.parametrize("moment", range(16))
def test_a_rotation_that_dies_at_any_moment_leaves_a_node_that_starts(
    home: Home, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    identity = LocalIdentity.unlock(home, None)
    before = identity.certificate
    with monkeypatch.context() as patched, Mnemonic.parse(WORDS) as mnemonic:
        kill_at(patched, moment)
        try:
            identity.rotate(mnemonic)
            survived = True
        except Killed:
            survived = False
    after = LocalIdentity.unlock(home, None)
    assert after.certificate.node == before.node
    assert after.certificate == published(home)
    assert after.kept() == after.certificate
    signature = after.sign("test", b"x")
    LocalIdentity.verify(after.certificate, signature, "test", b"x")
    assert after.certificate.epoch >= before.epoch
    if survived:
        assert after.certificate.epoch > before.epoch
    assert not home.path.joinpath("vault.new").exists() or after.certificate == before


def test_both_endings_of_a_rotation_were_met(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above relies on: some of its moments are before the change counts, some after."""
    with monkeypatch.context() as patched, Mnemonic.parse(WORDS) as mnemonic:
        calls = kill_at(patched, 1000)
        LocalIdentity.unlock(home, None).rotate(mnemonic)
    assert 4 <= calls() <= 8


@pytest.mark.parametrize("moment", range(14))
def test_an_init_that_dies_at_any_moment_leaves_a_node_or_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    home = Home(tmp_path / "home")
    with monkeypatch.context() as patched, Mnemonic.parse(WORDS) as mnemonic:
        kill_at(patched, moment)
        with suppress(Killed):
            create_home(home.path, name="n", mnemonic=mnemonic, passphrase=None)
    try:
        LocalIdentity.unlock(home, None)
    except UnavailableError as error:
        said = error
    else:
        assert published(home).name == "n"
        return
    assert said.code in ("node.no-home", "node.damaged-home")
    assert said.hint


def test_a_lost_or_old_public_certificate_is_written_anew_from_the_vault(home: Home) -> None:
    good = home.certificate.read_bytes()
    for bad in (b"", b"\xff" * 10, b"x" * 100_000):
        home.certificate.write_bytes(bad)
        LocalIdentity.unlock(home, None).wipe()
        assert home.certificate.read_bytes() == good


def test_a_rotation_wipes_the_keys_and_requests_before_it(home: Home) -> None:
    identity = LocalIdentity.unlock(home, None)
    old = identity.keys
    identity.request()
    with Mnemonic.parse(WORDS) as mnemonic:
        identity.rotate(mnemonic)
    assert wiped(old)
    assert not wiped(identity.keys)
    with pytest.raises(UsageError) as caught:
        identity.apply(old.certificate)
    assert caught.value.code == "node.no-request"
    identity.wipe()
    assert wiped(identity.keys)


def test_a_failed_rotation_changes_nothing(home: Home) -> None:
    identity = LocalIdentity.unlock(home, None)
    before = identity.certificate
    with Mnemonic.generate() as other, pytest.raises(PeerError) as caught:
        identity.rotate(other)
    assert caught.value.code == "identity.other-identity"
    assert identity.certificate == before == LocalIdentity.unlock(home, None).certificate
    assert not wiped(identity.keys)


def test_an_answer_is_taken_up_once_and_repeating_it_is_harmless(home: Home) -> None:
    identity = LocalIdentity.unlock(home, None)
    answer = answer_to(identity.request())
    assert identity.apply(answer) == answer
    home.certificate.unlink()  # as if the process had died before it was written
    assert identity.apply(answer) == answer
    assert published(home) == answer


def test_pending_keys_outlive_the_process(home: Home) -> None:
    first = LocalIdentity.unlock(home, None)
    answer = answer_to(first.request())
    first.wipe()
    second = LocalIdentity.unlock(home, None)
    assert second.apply(answer) == answer
    assert LocalIdentity.unlock(home, None).certificate == answer


def test_a_vault_that_holds_something_else_is_damaged_and_forgets_its_key(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Vault.open(home.vault, key_file=home.vault_key)
    contents = unpack(good.contents().reveal())
    assert isinstance(contents, dict)
    seeds = contents["seeds"]
    opened: list[Vault] = []
    open_vault = Vault.open
    monkeypatch.setattr(Vault, "open", lambda *a, **k: opened.append(open_vault(*a, **k)) or opened[-1])
    for change in (
        {"seeds": bytes(64)},
        {"seeds": seeds[:63]},
        {"version": 2},
        {"certificate": b"x"},
        {"data_key": b""},
        {"extra": 1},
        {"pending": b"short"},
    ):
        good.replace(pack(contents | change))
        with pytest.raises(UnavailableError) as caught:
            LocalIdentity.unlock(home, None)
        assert caught.value.code == "node.damaged-vault", change
        with pytest.raises(UsageError) as used:
            opened[-1].contents()
        assert used.value.code == "crypto.wiped"
    for data in (b"", b"\xc1", b"\x00"):
        with pytest.raises(UnavailableError) as caught:
            Secrets.decode(data)
        assert caught.value.code == "node.damaged-vault"


def test_an_export_is_the_node_and_meets_no_rotation(home: Home, tmp_path: Path) -> None:
    identity = LocalIdentity.unlock(home, None)
    contents = identity.take_out()
    before = identity.certificate
    with Mnemonic.parse(WORDS) as mnemonic:
        identity.rotate(mnemonic)
    text = seal_export(contents, PHRASE)
    keys, _ = open_export(text, PHRASE)
    assert keys.certificate == before
    created = import_home(tmp_path / "elsewhere", text, PHRASE, passphrase=None)
    assert created.node == before.node
    assert LocalIdentity.unlock(Home(tmp_path / "elsewhere"), None).certificate == before
    with pytest.raises(UsageError) as caught:
        open_export(text, "another phrase")
    assert caught.value.code == "store.wrong-passphrase"


def test_an_export_of_other_keys_is_refused(home: Home) -> None:
    identity = LocalIdentity.unlock(home, None)
    held = unpack(identity.take_out().reveal())
    assert isinstance(held, dict)
    for change in ({"seeds": bytes(64)}, {"more": 1}):  # of keys, of shape: each costs a passphrase's derivation, twice
        forged = SecretBytes(pack(builtins(held | change)))
        with pytest.raises(PeerError) as caught:
            open_export(seal_export(forged, PHRASE), PHRASE)
        assert caught.value.code == "node.bad-export", change


def test_nothing_that_holds_a_secret_shows_or_spreads_it(home: Home) -> None:
    identity = LocalIdentity.unlock(home, None)
    key = identity.data_key.reveal()
    for thing in (identity, identity.keys, identity.data_key, identity._secrets, identity._safe):
        assert key.hex() not in repr(thing)
    for thing in (identity.keys, identity._secrets, StoreKey.generate()):
        with pytest.raises(UsageError):
            pickle.dumps(thing)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Lock.by_passphrase.__kwdefaults__
    monkeypatch.setitem(Lock.by_passphrase.__kwdefaults__, "cost", Cost(MIN_OPERATIONS, MIN_MEMORY))


def relocked(home: Home, current: str | None, new: str | None) -> None:
    identity = LocalIdentity.unlock(home, current)
    try:
        identity.relock(identity.next_lock(current, new))
    finally:
        identity.wipe()


def key_files(home: Home) -> set[str]:
    return {path.name for path in home.path.iterdir() if path.name.startswith("vault")}


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("moment", range(22))
@pytest.mark.parametrize("to_key_file", [False, True])
def test_a_change_of_passphrase_that_dies_at_any_moment_leaves_a_home_that_opens_and_is_tidy(
    home: Home, monkeypatch: pytest.MonkeyPatch, moment: int, to_key_file: bool
) -> None:
    before, after = (PHRASE, None) if to_key_file else (None, PHRASE)
    if to_key_file:
        relocked(home, None, PHRASE)
    with monkeypatch.context() as patched:
        kill_at(patched, moment)
        with suppress(Killed):
            relocked(home, before, after)
    counts = PHRASE if home.needs_passphrase() else None
    identity = LocalIdentity.unlock(home, counts)
    assert identity.certificate == published(home)
    assert key_files(home) == ({"vault"} if counts else {"vault", "vault.key"})
    with Mnemonic.parse(WORDS) as mnemonic:
        renewed = identity.rotate(mnemonic)
    assert LocalIdentity.unlock(home, counts).certificate == renewed
    if counts != after:
        relocked(home, before, after)
        assert LocalIdentity.unlock(home, after).certificate == renewed


@pytest.mark.usefixtures("cheap")
def test_who_changes_the_passphrase_of_an_open_node_knows_the_present_one(home: Home) -> None:
    identity = LocalIdentity.unlock(home, None)
    assert code_of(UsageError, identity.next_lock, "guessed", "new") == "store.other-lock"
    identity.relock(identity.next_lock(None, PHRASE))
    content = home.vault.read_bytes()
    assert code_of(UsageError, identity.next_lock, None, "new") == "node.passphrase-needed"
    assert code_of(UsageError, identity.next_lock, "guessed", "new") == "store.wrong-passphrase"
    assert code_of(UsageError, identity.next_lock, PHRASE, "") == "crypto.bad-passphrase"
    assert home.vault.read_bytes() == content
    with Mnemonic.parse(WORDS) as mnemonic:  # the node goes on under the new lock
        renewed = identity.rotate(mnemonic)
    assert LocalIdentity.unlock(home, PHRASE).certificate == renewed


def test_keys_that_lie_in_no_vault_take_no_passphrase() -> None:
    class InMemory:
        def replace(self, contents: bytes) -> None:
            pass

        def wipe(self) -> None:
            pass

    with Mnemonic.parse(WORDS) as mnemonic:
        secrets = make_secrets(mnemonic, name="n", index=0, now=WallTime(2_000_000_000))
    identity = LocalIdentity(InMemory(), secrets)
    assert code_of(UnavailableError, identity.next_lock, None, PHRASE) == "node.no-home"
    assert identity.kept() == identity.certificate
    identity.wipe()
