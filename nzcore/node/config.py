"""Typed settings, kept in `HOME/config.toml`: read strictly, written so that a person's comments survive.

A setting is a field of one of the sections below; its name is `section.field`. A name that nobody declared,
or a value of another type, is refused with the place named, never ignored.
"""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import msgspec
import tomlkit
from msgspec import Meta
from tomlkit.exceptions import TOMLKitError

from nzcore.base.errors import PeerError, UnavailableError, UsageError
from nzcore.control.config_ops import Setting, SettingValue
from nzcore.net.doorkeeper import DoorSettings
from nzcore.proto.channel.config import ChannelConfig
from nzcore.proto.identity.address import Address
from nzcore.store.files import replace

CONFIG_BYTES = 1 << 16  # a hundred times what all settings together need


_TYPE_NAMES = {int: "whole number", float: "number", str: "text", bool: "true|false"}


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least severe line that is written")
    ] = "info"
    max_bytes: Annotated[int, Meta(ge=65_536, le=1 << 30, description="size at which logs/node.log is rotated")] = (
        8 << 20
    )
    keep: Annotated[int, Meta(ge=1, le=100, description="rotated log files that are kept")] = 3


class Supervision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    intensity: Annotated[int, Meta(ge=1, le=1000, description="restarts of one service within the period")] = 5
    period_s: Annotated[float, Meta(gt=0, le=86_400, description="seconds over which restarts are counted")] = 60.0
    backoff_s: Annotated[float, Meta(gt=0, le=60, description="seconds before the first restart; doubles")] = 0.1
    backoff_max_s: Annotated[float, Meta(gt=0, le=3600, description="longest pause before a restart")] = 30.0


class Monitor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    interval_s: Annotated[float, Meta(ge=1, le=86_400, description="seconds between the node's checks of itself")] = (
        30.0
    )
    min_free_bytes: Annotated[int, Meta(ge=0, description="free disk below which the node calls itself unwell")] = (
        64 << 20
    )


class Net(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: Annotated[
        tuple[str, ...],
        Meta(description="addresses to listen on, as tcp://HOST:PORT; none: all private ones, one port"),
    ] = ()
    public: Annotated[bool, Meta(description="listen on addresses that the internet reaches, too")] = False
    mdns: Annotated[bool, Meta(description="find peers on the local network, and be found by them")] = True
    mdns_passive: Annotated[bool, Meta(description="only find them: announce nothing but an open pairing window")] = (
        False
    )

    def __post_init__(self) -> None:
        """*Raises* ValueError for what is no address, so that it is refused as a setting."""
        for text in self.listen:
            try:
                Address.parse(text)
            except PeerError as error:
                raise ValueError(f"{text[:80]!r} is not an address like tcp://0.0.0.0:7000: {error.message}") from error


class Channels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_streams: Annotated[int, Meta(ge=1, le=256, description="live streams that each side of a channel may open")] = (
        128
    )
    keepalive_s: Annotated[
        float, Meta(gt=0, le=3600, description="seconds of silence before a sign of life is asked")
    ] = 20.0
    dead_s: Annotated[
        float, Meta(gt=0, le=7200, description="seconds of silence before a channel is taken for dead")
    ] = 60.0
    rekey_s: Annotated[float, Meta(gt=0, le=86_400, description="seconds after which a channel's keys are renewed")] = (
        600.0
    )
    rekey_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 40, description="bytes after which they are, too")] = 64 << 30

    def __post_init__(self) -> None:
        """*Raises* ValueError where values contradict each other, as the machine judges it."""
        self.machine()

    def machine(self) -> ChannelConfig:
        """As the channel machine takes it; its other limits are not a matter of taste."""
        return ChannelConfig(**msgspec.structs.asdict(self))


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inbox_dir: Annotated[
        str, Meta(description="absolute folder for what peers send; empty: Downloads/nzcore, or HOME-inbox")
    ] = ""
    quota_bytes: Annotated[
        int, Meta(ge=0, le=1 << 53, description="bytes that each peer may have in the inbox; moved files don't count")
    ] = 64 << 30
    at_once: Annotated[
        int, Meta(ge=1, le=64, description="transfers at once with each peer, each way; others wait")
    ] = 8
    keep_partial_days: Annotated[
        float, Meta(gt=0, le=365, description="days after which an unfinished transfer is forgotten")
    ] = 7.0
    min_free_bytes: Annotated[int, Meta(ge=0, description="free disk that received files must leave")] = 64 << 20

    def __post_init__(self) -> None:
        """*Raises* ValueError for an inbox that depends on where the node was started."""
        if self.inbox_dir and not Path(self.inbox_dir).is_absolute():
            raise ValueError("inbox_dir must be an absolute path")


class Door(DoorSettings, frozen=True, forbid_unknown_fields=True):
    """The door's settings, as far as they make sense together."""

    def __post_init__(self) -> None:
        """*Raises* ValueError where nobody new would ever be let in."""
        if self.reserved >= self.max_half_open:
            raise ValueError("reserved must be less than max_half_open")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a node; every one has a default."""

    log: Log = Log()
    supervision: Supervision = Supervision()
    monitor: Monitor = Monitor()
    net: Net = Net()
    channels: Channels = Channels()
    files: Files = Files()
    door: Door = Door()


def load(path: Path) -> Config:
    """Settings of a home; defaults where the file is absent.

    *Raises* UnavailableError `node.damaged-config`, naming the place, for anything that is not exactly settings.
    """
    return _convert(_parsed(_read(path), path), path)


def settings(config: Config) -> list[Setting]:
    """Every setting with its value, default, type and description, in order of declaration."""
    return [
        Setting(
            name=f"{section.name}.{field.name}",
            value=_shown(getattr(getattr(config, section.name), field.name)),
            default=_shown(field.default),
            type=_type_name(field.type),
            summary=_description(field.type),
        )
        for section in msgspec.structs.fields(Config)
        for field in msgspec.structs.fields(section.type)
    ]


def find(config: Config, name: str) -> Setting:
    """The setting named `name`. *Raises* UsageError `node.unknown-setting` with the nearest names."""
    known = {setting.name: setting for setting in settings(config)}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else ""
    raise UsageError("node.unknown-setting", f"there is no setting {name!r}", hint=hint)


def store(path: Path, name: str, value: SettingValue) -> Config:
    """Writes one setting, keeping all else in the file as it is; returns the new settings.

    Text is read as the setting's type; None removes the setting, which restores its default.
    *Raises* UsageError `node.unknown-setting` or `node.bad-setting`, UnavailableError `node.damaged-config`,
    `store.disk-full` or `store.cannot-write`.
    """
    text = _read(path)
    before = find(_convert(_parsed(text, path), path), name)
    try:
        fresh = _amended(text, name, _read_as(before.type, value) if isinstance(value, str) else value)
        # What the next start will read, not what the editor believes to have written.
        config = msgspec.convert(tomllib.loads(fresh), Config)
    except (ValueError, TOMLKitError, RecursionError) as error:  # of msgspec, tomllib, tomlkit and of encodings
        raise UsageError("node.bad-setting", _unfit(before, value, error)) from error
    if len(fresh.encode()) > CONFIG_BYTES:
        raise UsageError("node.bad-setting", f"{name} is too long: settings have {CONFIG_BYTES} bytes together")
    replace(path, fresh.encode())
    return config


def _amended(text: str, name: str, value: object) -> str:
    """The file's text with one value changed; None takes it out."""
    section, _, field = name.partition(".")
    document = tomlkit.parse(text)
    if value is None:
        if section in document:
            document[section].pop(field, None)
    else:
        document.setdefault(section, tomlkit.table())[field] = value
    fresh = tomlkit.dumps(document)
    fresh.encode()  # a lone surrogate is refused here
    return fresh


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UnavailableError("node.damaged-config", f"cannot read {path}: {error.strerror}") from error
    if len(data) > CONFIG_BYTES:
        raise UnavailableError("node.damaged-config", f"{path} has more than {CONFIG_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnavailableError("node.damaged-config", f"{path} is not UTF-8 text") from error


def _parsed(text: str, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise UnavailableError("node.damaged-config", f"{path} is not TOML: {_plain(error)}") from error


def _convert(values: dict[str, object], path: Path) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise UnavailableError("node.damaged-config", f"{path}: {_plain(error)}") from error


def _read_as(type_name: str, text: str) -> object:
    """A value as TOML would read it; what is no TOML is text, and for a list, texts between commas."""
    if type_name == "text":
        return text
    value = _parse(text)
    if type_name == "list of text" and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _unfit(setting: Setting, value: object, error: Exception) -> str:
    """Why a value can't be a setting's; another type is said in the words of `config list`."""
    why = _plain(error).partition(" - at ")[0]
    if ", got " in why or why.startswith("invalid enum value"):
        return f"{setting.name} is of type {setting.type}, which {_brief(value)} is not"
    why = why.replace("expected int", "expected a number").replace("expected float", "expected a number")
    return f"{setting.name} cannot be {_brief(value)}: {why}"


def _parse(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _shown(value: object) -> SettingValue:
    return list(value) if isinstance(value, tuple) else value  # type: ignore[return-value]  # what a section may hold


def _plain(error: Exception) -> str:
    words = str(error).replace("`", "")
    return words[:1].lower() + words[1:]


def _type_name(annotated: object) -> str:
    inner = get_args(annotated)[0]
    if isinstance(inner, type):
        return _TYPE_NAMES[inner]
    return "list of text" if get_origin(inner) is tuple else "|".join(get_args(inner))


def _description(annotated: object) -> str:
    return next(meta.description or "" for meta in get_args(annotated)[1:] if isinstance(meta, Meta))
