"""Examinations: what can be wrong with a home, and with a running node; each finding with the next thing to try."""

import stat
import time
from collections.abc import Callable, Iterator
from functools import partial

import trio

from nzcore.base.errors import NzError
from nzcore.control.node_ops import Check
from nzcore.ipc.path import socket_path
from nzcore.node import config
from nzcore.node.home import Home
from nzcore.node.node import Node
from nzcore.node.services import clock_problem, disk_problem
from nzcore.proto.identity.certificate import Certificate
from nzcore.store import vault
from nzcore.store.files import permissions_problem

STORE_ANSWER_S = 5.0


def check_home(home: Home) -> list[Check]:
    """Examines a home without opening its vault, whether its node runs or not."""
    return [_check(name, look) for name, look in _home_checks(home)]


async def check_node(node: Node) -> list[Check]:
    """Examines a running node: its services, its bus, its store."""
    found = [
        _check(f"service {info.name}", partial(_service, info.state.value, info.last_error))
        for info in node.supervisor.list()
    ]
    found.append(_check("events", lambda: _events(node)))
    found.append(await _store_answers(node))
    return found


def _home_checks(home: Home) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "home", lambda: _home(home)
    yield "folders", lambda: _folders(home)
    yield "settings", lambda: _settings(home)
    yield "certificate", lambda: _certificate(home)
    yield "vault", lambda: _vault(home)
    yield "disk", lambda: _disk(home)
    yield "clock", _clock
    yield "socket", lambda: f"commands reach the node at {socket_path(home.path)}"


class _Finding(Exception):
    """What is wrong, and what to try."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(check=name, ok=True, detail=look())
    except _Finding as finding:
        return Check(check=name, ok=False, detail=finding.detail, hint=finding.hint)
    except NzError as error:
        return Check(check=name, ok=False, detail=error.message, hint=error.hint)


def _home(home: Home) -> str:
    home.require()
    return str(home.path)


def _folders(home: Home) -> str:
    for folder in (home.path, home.run, home.logs):
        if not folder.is_dir():
            raise _Finding(f"{folder} is missing", f"mkdir -m 700 {folder}")
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o077:
            raise _Finding(f"{folder} has mode {mode:04o}, so others may enter it", f"chmod 700 {folder}")
    return "only you can enter them"


def _settings(home: Home) -> str:
    changed = [one.name for one in config.settings(config.load(home.config)) if one.value != one.default]
    return f"changed: {', '.join(changed)}" if changed else "all at their defaults"


def _certificate(home: Home) -> str:
    try:
        certificate = Certificate.parse_text(home.certificate.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise _Finding(f"cannot read {home.certificate}: {error}", "`nzcore up` writes it anew") from error
    return f"{certificate.node.text}, epoch {certificate.epoch}"


def _vault(home: Home) -> str:
    secret_files = [home.vault]
    lock = vault.lock_of(home.vault)
    if lock == "key-file":
        secret_files.append(home.vault_key)
    for path in secret_files:
        if problem := permissions_problem(path):
            raise _Finding(problem, f"chmod 600 {path}")
    return f"sealed under a {'key file' if lock == 'key-file' else lock}"


def _disk(home: Home) -> str:
    if problem := disk_problem(home.path, config.load(home.config).monitor.min_free_bytes):
        raise _Finding(problem, "free some space, or move the home")
    return "enough is free"


def _clock() -> str:
    if problem := clock_problem(time.time()):
        raise _Finding(problem, "set the clock")
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


def _service(state: str, last_error: str) -> str:
    if state not in ("running", "stopped"):
        raise _Finding(f"{state}: {last_error}" if last_error else state, "`nzcore service show NAME` tells more")
    return f"{state}; last failed with: {last_error}" if last_error else state


def _events(node: Node) -> str:
    stats = node.bus.stats()
    if stats.dropped:
        slow = ", ".join(f"{one.subscriber} ({one.dropped})" for one in stats.subscriptions if one.dropped)
        raise _Finding(
            f"{stats.dropped} of {stats.emitted} events were dropped", f"slow subscribers: {slow or 'gone by now'}"
        )
    return f"{stats.emitted} so far, none dropped"


async def _store_answers(node: Node) -> Check:
    try:
        with trio.fail_after(STORE_ANSWER_S):
            await node.kv().get("node", "check")
    except trio.TooSlowError:
        hint = "`nzcore service restart store --force`"
        return Check(check="store", ok=False, detail=f"no answer in {STORE_ANSWER_S:g} s", hint=hint)
    except NzError as error:
        return Check(check="store", ok=False, detail=error.message, hint=error.hint)
    return Check(check="store", ok=True, detail="it answers")
