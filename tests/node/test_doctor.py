"""The doctor finds what is wrong, and nothing else; each finding comes with the next thing to try."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from nzcore.control.node_ops import Check
from nzcore.node import config
from nzcore.node import doctor as doctoring
from nzcore.node.doctor import check_home, check_node
from nzcore.node.home import Home, default_inbox
from nzcore.node.identity import LocalIdentity
from nzcore.node.node import Node
from nzcore.node.services import StoreService
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.store.inline import InlineKV

WORDS = "abandon " * 23 + "art"


def findings(checks: list[Check]) -> dict[str, Check]:
    assert all(check.hint and check.detail for check in checks if not check.ok)
    return {check.check: check for check in checks if not check.ok}


def test_nothing_is_found_in_a_good_home(home: Home) -> None:
    home.make_folders()
    assert findings(check_home(home)) == {}


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda home: home.vault.unlink(), {"home", "vault"}),
        (lambda home: home.certificate.unlink(), {"home", "certificate"}),
        (lambda home: home.certificate.write_bytes(b"\xff"), {"certificate"}),
        (lambda home: home.certificate.write_text("nzcert:nonsense"), {"certificate"}),
        (lambda home: (home.certificate.unlink(), home.certificate.mkdir()), {"certificate"}),
        (lambda home: home.vault.write_bytes(home.vault.read_bytes()[:-1]), {"vault"}),
        (lambda home: home.vault.write_bytes(b"nonsense"), {"vault"}),
        (lambda home: home.vault.chmod(0o644), {"vault"}),
        (lambda home: home.vault_key.unlink(), {"vault"}),
        (lambda home: home.vault_key.chmod(0o640), {"vault"}),
        (lambda home: home.config.write_text("[log]\nlevel = 3"), {"settings"}),
        (lambda home: home.config.write_text("[channels]\nkeepalive_s = 100"), {"settings"}),
        (lambda home: home.config.write_text("[monitor]\nmin_free_bytes = 9000000000000000000"), {"disk"}),
        (lambda home: home.place.touch(), {"store file"}),
        (lambda home: (home.database.touch(), home.database.chmod(0o644)), {"store file"}),
        (lambda home: home.network_secret.write_text("x"), {"network"}),
        (lambda home: home.config.write_text(f"[files]\ninbox_dir = '{home.path}/run/in'"), {"inbox"}),
        (lambda home: home.path.with_name(f"{home.path.name}-inbox").symlink_to(home.path), {"inbox"}),
        (lambda home: home.path.with_name(f"{home.path.name}-inbox").write_text("in the way"), {"inbox"}),
        (lambda home: home.path.with_name(f"{home.path.name}-inbox").symlink_to("nowhere"), {"inbox"}),
        (lambda home: home.logs.chmod(0o755), {"folders"}),
        (lambda home: home.run.rmdir(), {"folders"}),
        (lambda home: home.log.mkdir(), {"log"}),
        (lambda home: (home.log.touch(), home.log.chmod(0o666)), {"log"}),
    ],
)
def test_each_harm_is_found_where_it_is(home: Home, harm: Callable[[Home], object], found: set[str]) -> None:
    home.make_folders()
    harm(home)
    assert set(findings(check_home(home))) == found


def test_an_inbox_that_cannot_be_written_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.make_folders()
    inbox = default_inbox(home.path)
    assert {check.check: check.detail for check in check_home(home)}["inbox"] == f"files will go to {inbox}"
    inbox.mkdir()
    assert {check.check: check.detail for check in check_home(home)}["inbox"] == f"files go to {inbox}"
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != inbox and may(path, mode))
    assert set(findings(check_home(home))) == {"inbox"}


def test_a_home_that_cannot_be_entered_is_findings_and_no_traceback(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path / ("x" * 300), Path("/dev/null/home")):
        assert [check.check for check in check_home(Home(path))] == ["home"]  # nothing else can be wrong with it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize(
    ("name", "check"),
    [("vault", "vault"), ("vault.key", "vault"), ("store.db", "store file"), ("network.secret", "network")],
)
def test_what_belongs_to_another_user_is_to_change_its_owner_and_not_its_mode(
    home: Home, name: str, check: str
) -> None:
    home.make_folders()
    (home.path / name).touch(mode=0o600)
    os.chown(home.path / name, 65533, -1)
    found = findings(check_home(home))
    assert set(found) == {check}
    assert "user 65533" in found[check].detail
    assert found[check].hint.startswith(f"`chown 0 {home.path / name}`")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_a_home_that_belongs_to_another_user_is_found(home: Home) -> None:
    home.make_folders()
    os.chown(home.path, 65533, -1)
    found = findings(check_home(home))
    assert set(found) == {"folders"}
    assert "belongs to user 65533" in found["folders"].detail


@pytest.mark.parametrize("stand", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_stands_in_the_socket_s_place_is_found(
    home: Home, stand: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.make_folders()
    monkeypatch.setattr(doctoring, "socket_path", lambda path: path / "run" / "nzcore.sock")  # however long it is
    stand(home.run / "nzcore.sock")
    assert set(findings(check_home(home))) == {"socket"}


def test_a_leftover_socket_is_no_finding(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.make_folders()
    monkeypatch.setattr(doctoring, "socket_path", lambda path: path / "run" / "nzcore.sock")
    monkeypatch.chdir(home.run)  # a short name, wherever the tests are
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("nzcore.sock")
    assert findings(check_home(home)) == {}


async def _hang(*_: object) -> None:
    await trio.sleep_forever()


class Ward:
    """A node that runs with a store in memory."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.store = StoreService(lambda: InlineKV(node.identity.data_key), requires=())
        node.attach(lambda: self.store.kv)

    async def examined(self, harm: Callable[[], object] = lambda: None) -> list[Check]:
        ready = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: self.node.run([self.store], on_ready=ready.set))
            await ready.wait()
            await self.node.kv().put("ns", "name", b"value")
            harm()
            found = await check_node(self.node)
            self.node.request_stop()
        return found


async def test_nothing_is_found_in_a_node_that_is_well(node: Node, autojump_clock: object) -> None:
    checks = await Ward(node).examined()
    assert findings(checks) == {}
    detail = {check.check: check.detail for check in checks}
    assert "rows open, and agree" in detail["stored rows"]
    assert f"epoch {node.identity.certificate.epoch}" in detail["kept keys"]
    assert detail["saved settings"] == "all in use"


async def test_a_row_that_was_changed_on_the_disk_is_found(node: Node, autojump_clock: object) -> None:
    ward = Ward(node)

    def harm() -> None:
        connection = ward.store.kv._connection  # type: ignore[attr-defined]
        connection.execute("UPDATE kv SET sealed = zeroblob(length(sealed))")
        connection.commit()

    assert "stored rows" in findings(await ward.examined(harm))


async def test_a_row_that_was_removed_from_the_disk_is_found(node: Node, autojump_clock: object) -> None:
    ward = Ward(node)

    def harm() -> None:
        connection = ward.store.kv._connection  # type: ignore[attr-defined]
        connection.execute("DELETE FROM kv WHERE rowid = (SELECT max(rowid) FROM kv)")
        connection.commit()

    assert "stored rows" in findings(await ward.examined(harm))


async def test_reading_the_store_is_bounded_and_what_was_not_read_is_said(
    node: Node, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InlineKV, "verify", _hang)
    checks = {check.check: check for check in await Ward(node).examined()}
    assert checks["stored rows"].ok
    assert "too many rows" in checks["stored rows"].detail
    assert doctoring.STORE_ANSWER_S + doctoring.SCRUB_S < 10  # what a command waits for an answer


async def test_a_store_that_hangs_is_found(node: Node, autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InlineKV, "get", _hang)
    assert "no answer" in findings(await Ward(node).examined())["store"].detail


async def test_keys_that_differ_from_the_vault_or_the_certificate_are_found(
    node: Node, home: Home, autojump_clock: object
) -> None:
    def rotate_elsewhere() -> None:
        with Mnemonic.parse(WORDS) as mnemonic:
            LocalIdentity.unlock(home, None).rotate(mnemonic)

    assert "other keys" in findings(await Ward(node).examined(rotate_elsewhere))["kept keys"].detail


@pytest.mark.parametrize("name", ["certificate", "vault"])
async def test_a_file_of_keys_that_was_damaged_while_the_node_runs_is_found(
    node: Node, home: Home, autojump_clock: object, name: str
) -> None:
    found = await Ward(node).examined(lambda: (home.path / name).write_bytes(b"x"))
    assert set(findings(found)) == {"kept keys"}


async def test_a_setting_that_awaits_a_restart_is_said_and_no_fault(
    node: Node, home: Home, autojump_clock: object
) -> None:
    checks = await Ward(node).examined(lambda: config.store(home.config, "log.level", "error"))
    assert findings(checks) == {}
    assert "log.level" in {check.check: check.detail for check in checks}["saved settings"]


async def test_settings_that_the_next_start_would_refuse_are_found(
    node: Node, home: Home, autojump_clock: object
) -> None:
    found = await Ward(node).examined(lambda: home.config.write_text("[nothing]"))
    assert set(findings(found)) == {"saved settings"}


async def test_losses_count_against_a_subscriber_only_while_it_is_there(node: Node, autojump_clock: object) -> None:
    async with node.bus.subscribe("test.*", capacity=1, overflow="drop_oldest", name="sleeper"):
        for _ in range(5):
            node.bus.emit("test.value")
        found = findings(await Ward(node).examined())
        assert "sleeper (4)" in found["events"].hint


async def test_losses_of_a_subscriber_that_has_left_are_history(node: Node, autojump_clock: object) -> None:
    async with node.bus.subscribe("test.*", capacity=1, overflow="drop_oldest", name="sleeper"):
        for _ in range(5):
            node.bus.emit("test.value")
    checks = await Ward(node).examined()
    assert findings(checks) == {}
    assert "4 dropped by subscribers that have left" in {check.check: check.detail for check in checks}["events"]
