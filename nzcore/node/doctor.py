"""Examinations: what can be wrong with a home, and with a running node; each finding with the next thing to try."""

import os
import shutil
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from shlex import quote

import trio

from nzcore.base.errors import NzError
from nzcore.base.units import size
from nzcore.control.node_ops import Check
from nzcore.ipc.path import socket_path
from nzcore.node import config
from nzcore.node.home import READ_ONLY_HINT, Home, user_name
from nzcore.node.modules.beginnings import spoken
from nzcore.node.modules.registry import Modules
from nzcore.node.node import Node, inbox_folder
from nzcore.node.services import clock_problem, disk_problem
from nzcore.proto.identity.certificate import Certificate
from nzcore.store import vault
from nzcore.store.database import Database
from nzcore.store.files import permissions_problem
from nzcore.store.inline import InlineKV

STORE_ANSWER_S = 4.0
"""Seconds within which a healthy store answers a read; with the next one below what a command waits for the doctor."""

SCRUB_S = 4.0
"""Seconds that reading the whole store may take here; what a larger one holds is read as it is used."""

LOG_BYTES = 4096
"""Free bytes that the log's next lines need."""


def check_home(home: Home) -> list[Check]:
    """Examines a home without opening its vault, whether its node runs or not; of one that is absent, or another
    user's, only that."""
    whole = _check("home", lambda: _home(home))
    if not whole.ok and not os.path.exists(home.certificate) and not os.path.exists(home.vault):
        return [whole]
    return [_check(name, look) for name, look in _home_checks(home)]


async def check_node(node: Node) -> list[Check]:
    """Examines a running node: its services, its bus, its store."""
    found = [
        _check(f"service {info.name}", partial(_service, info.name, info.state.value, info.last_error))
        for info in node.supervisor.list()
    ]
    found.append(_check("events", lambda: _events(node)))
    found.append(_check("kept keys", lambda: _kept_keys(node)))
    found.append(_check("saved settings", lambda: _saved_settings(node)))
    if node.modules.held:
        found.append(_check("modules", lambda: _held_modules(node.modules)))
    found.append(_discovery(node))
    found.append(await _checked("store", partial(_store_answers, node)))
    found.append(await _checked("stored rows", partial(_scrub, node)))
    return found


def _home_checks(home: Home) -> Iterator[tuple[str, Callable[[], str]]]:
    settings = _readable_settings(home)
    yield "home", lambda: _home(home)
    yield "folders", lambda: _folders(home)
    yield "settings", lambda: _settings(home)
    yield "certificate", lambda: _certificate(home)
    yield "vault", lambda: _vault(home)
    yield "store file", lambda: _store_file(home)
    yield "network", lambda: _network(home)
    yield "log", lambda: _log(home)
    yield "disk", lambda: _disk(home, settings or config.Config())
    if settings is not None:  # else nobody knows where the inbox is meant to be
        yield "inbox", lambda: _inbox(home, settings)
    yield "clock", _clock
    yield "socket", lambda: _socket(home)


class _Finding(Exception):
    """What is wrong, and what to try."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(check=name, ok=True, detail=look())
    except (_Finding, NzError, OSError) as error:
        return _failed(name, error)


async def _checked(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(check=name, ok=True, detail=await look())
    except (_Finding, NzError, OSError) as error:
        return _failed(name, error)


def _failed(name: str, error: "_Finding | NzError | OSError") -> Check:
    if isinstance(error, _Finding):
        return Check(check=name, ok=False, detail=error.detail, hint=error.hint)
    if isinstance(error, NzError):
        return Check(check=name, ok=False, detail=error.message, hint=error.hint)
    detail = f"cannot look at {error.filename or 'it'}: {error.strerror or type(error).__name__}"
    return Check(check=name, ok=False, detail=detail, hint="check its owner and its mode")


def _home(home: Home) -> str:
    home.require()
    return str(home.path)


def _folders(home: Home) -> str:
    for folder in (home.path, home.run, home.logs):
        if not folder.is_dir():
            raise _Finding(f"{folder} is missing", f"mkdir -m 700 {folder}")
        if (owner := folder.stat().st_uid) != os.geteuid():
            hint = f"`chown -R {os.geteuid()} {quote(str(folder))}` as root, or call nzcore as that user"
            raise _Finding(f"{folder} belongs to {user_name(owner)}, not to you", hint)
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o077:
            raise _Finding(f"{folder} has mode {mode:04o}, so others may enter it", f"chmod 700 {folder}")
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise _Finding(f"{folder} is on a file system that is read-only", READ_ONLY_HINT)
        if not os.access(folder, os.W_OK):
            raise _Finding(f"{folder} cannot be written", "check its owner and its mode")
    return "only you can enter them"


def _settings(home: Home) -> str:
    changed = [one.name for one in config.settings(config.load(home.config)) if one.value != one.default]
    return f"changed: {', '.join(changed)}" if changed else "all at their defaults"


def _readable_settings(home: Home) -> config.Config | None:
    """None where they can't be read: that is told once, by the check of the settings."""
    try:
        return config.load(home.config)
    except NzError:
        return None


def _certificate(home: Home) -> str:
    anew = "`nzcore up` writes it anew from the vault"
    try:
        certificate = Certificate.parse_text(home.read_certificate().decode("ascii"))
    except (UnicodeDecodeError, NzError) as error:
        why = error.message if isinstance(error, NzError) else "it is not text"
        raise _Finding(f"{home.certificate} is no certificate: {why}", anew) from error
    return f"{certificate.node.text}, epoch {certificate.epoch}"


def _vault(home: Home) -> str:
    secret_files = [home.vault]
    lock = vault.lock_of(home.vault)
    if lock == "key-file":
        secret_files.append(home.vault_key)
    for path in secret_files:
        if problem := permissions_problem(path):
            raise _Finding(problem, _private_hint(path))
    return f"sealed under a {'key file' if lock == 'key-file' else lock}"


def _store_file(home: Home) -> str:
    """Whether it is there; a node that runs reads what it holds."""
    home.require_store()
    if not os.path.lexists(home.database):
        return "none yet: the first start makes it"
    if problem := permissions_problem(home.database):
        raise _Finding(problem, _private_hint(home.database))
    return f"{size(home.database.stat().st_size)}, sealed"


def _private_hint(path: Path) -> str:
    if not path.is_file():
        return "restore it from a copy of the home"
    quoted = quote(str(path))
    if os.lstat(path).st_uid != os.geteuid():
        return f"`chown {os.geteuid()} {quoted}` as root, or call nzcore as that user"
    return f"chmod 600 {quoted}"


def _network(home: Home) -> str:
    if os.path.lexists(home.network_secret) and (problem := permissions_problem(home.network_secret)):
        raise _Finding(problem, _private_hint(home.network_secret))
    return "open to every node that is trusted" if home.read_network_secret() is None else "closed: it has a secret"


def _log(home: Home) -> str:
    """Writes nothing: asks whether the next line could be appended."""
    if not home.log.exists():
        return "none yet"
    if problem := permissions_problem(home.log):
        raise _Finding(problem, _private_hint(home.log))
    if not os.access(home.log, os.W_OK) or not os.access(home.logs, os.W_OK | os.X_OK):
        raise _Finding(f"{home.log} cannot be written", "check its owner and its mode")
    if shutil.disk_usage(home.logs).free < LOG_BYTES:
        raise _Finding(f"the disk of {home.log} is full", "free some space, or move the home")
    return f"{home.log} can be written"


def _disk(home: Home, settings: config.Config) -> str:
    if problem := disk_problem(home.path, settings.monitor.min_free_bytes):
        raise _Finding(problem, "free some space, or move the home")
    return "enough is free"


def _inbox(home: Home, settings: config.Config) -> str:
    """Writes nothing: a folder that is not there yet is made with the first transfer, if that may be."""
    folder = inbox_folder(home, settings)
    elsewhere = "`nzcore config set files.inbox_dir FOLDER` names another one"
    if folder.resolve().is_relative_to(home.path.resolve()):
        raise _Finding(f"{folder} lies in the home, whose files are secret", elsewhere)
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise _Finding(f"{nearest} is no folder, so that nothing can be received", f"move it away, or {elsewhere}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _Finding(f"{nearest} cannot be written, so that nothing can be received", f"chmod it, or {elsewhere}")
    return f"files go to {folder}" if nearest == folder else f"files will go to {folder}"


def _socket(home: Home) -> str:
    """Whether commands find the node; what is left of one that was killed hinders nobody."""
    path = socket_path(home.path)
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise _Finding(f"{path} is not a socket, but stands where the node's belongs", "move it away")
    return f"commands find a running node at {path}"


def _clock() -> str:
    if problem := clock_problem(time.time()):
        raise _Finding(problem, "set the clock")
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


def _service(name: str, state: str, last_error: str) -> str:
    if state not in ("running", "stopped"):
        raise _Finding(f"{state}: {last_error}" if last_error else state, f"`nzcore service show {name}` tells more")
    return f"{state}; last failed with: {last_error}" if last_error else state


def _events(node: Node) -> str:
    """Losses of a subscriber that is still there are its problem now; those of one that has left are history."""
    stats = node.bus.stats()
    slow = [f"{one.subscriber} ({one.dropped})" for one in stats.subscriptions if one.dropped]
    if slow:
        raise _Finding(
            f"{stats.dropped} of {stats.emitted} events were dropped", f"slow subscribers: {', '.join(slow)}"
        )
    gone = f"{stats.dropped} dropped by subscribers that have left" if stats.dropped else "none dropped"
    failures = f", {stats.handler_failures} handlers raised" if stats.handler_failures else ""
    return f"{stats.emitted} so far, {gone}{failures}"


def _kept_keys(node: Node) -> str:
    """What a crash would bring back is what the node runs with, and what it shows in public."""
    certificate = node.identity.certificate
    if node.identity.kept().encoded != certificate.encoded:
        raise _Finding("the vault holds other keys than the node runs with", "restart the node to take them up")
    try:
        public = node.home.read_certificate()
    except NzError:
        public = b""
    if public != certificate.text.encode("ascii"):
        raise _Finding(f"{node.home.certificate} is not the one in the vault", "restart the node: it is written anew")
    return f"vault and certificate agree on epoch {certificate.epoch}"


def _saved_settings(node: Node) -> str:
    """That a change waits is as it should be, so it is said and not held against the node."""
    saved = {one.name: one.value for one in config.settings(config.load(node.home.config))}
    changed = [one.name for one in config.settings(node.saved_config) if saved[one.name] != one.value]
    return f"changed since the start, used from the next one on: {', '.join(changed)}" if changed else "all in use"


def _held_modules(modules: Modules) -> str:
    """That they are left out was wished for, so it is said and not held against the node; that one hung is."""
    if suspects := modules.suspects:
        first = f"`nzcore module disable {suspects[0]}`"
        raise _Finding(
            f"the last start with modules got no further than {spoken(suspects)}",
            f"{first}, or `nzcore module remove`; then `nzcore down` and `nzcore up -d`",
        )
    return f"left out of this run: {', '.join(modules.enabled)}" if modules.enabled else "none is enabled"


def _discovery(node: Node) -> Check:
    """Nodes without it lack nothing that they need, so that it is switched off is said and not held against them."""
    if node.discovery is None:
        return Check(check="discovery", ok=True, detail="switched off; tickets and known addresses work without it")
    return node.discovery.examine()


async def _store_answers(node: Node) -> str:
    with trio.move_on_after(STORE_ANSWER_S):
        await node.kv().get("node", "check")
        return "it answers"
    raise _Finding(f"no answer in {STORE_ANSWER_S:g} s", "`nzcore service restart store --force`")


async def _scrub(node: Node) -> str:
    """Reads every row against the sealed sum, one reader at a time; more than fits the time is said, not guessed."""
    kv = node.kv()
    if not isinstance(kv, Database | InlineKV):
        return "this store has nothing to read through"
    with trio.move_on_after(SCRUB_S):
        async with node.scrubbing:
            return f"all {await kv.verify()} rows open, and agree with the sealed sum"
    return f"too many rows to read in {SCRUB_S:g} s; nothing was wrong with those that were"
