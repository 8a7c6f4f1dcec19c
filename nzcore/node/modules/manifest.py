"""`module.toml`: what a module is called, contains, wants and offers (spec/module.md §2). Strict; names the line.

Any bytes end in a `Manifest` or in PeerError `module.bad-manifest`. Pure.
"""

import re
import tomllib
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from nzcore.base.errors import PeerError
from nzcore.node.modules.capability import CAPABILITIES, Capability, Grants, parse

FILE_NAME = "module.toml"
MANIFEST_BYTES = 16 << 10
"""Largest manifest: ten times the largest sensible one."""

API = "0"
SUMMARY_CHARACTERS = 120
OFFERS = 64
"""Most operations, commands, services, and required modules, each."""

NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,31}")
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(?:\.(0|[1-9]\d{0,5}))?")
_CLAUSE = re.compile(r"(>=|==|<)\s*(\S+)")
_ENTRY = re.compile(r"([a-z_][a-z0-9_]{0,63}(?:\.[a-z_][a-z0-9_]{0,63}){0,3}):([A-Za-z_][A-Za-z0-9_]{0,63})")
_MEMBER = re.compile(r"[a-z][a-z0-9_]{0,47}")

_RESERVED = (
    "bench bundled call channel completion config demo discover doctor down envelope events explain fabric file files "
    "forget help home identity inbox init invite join ledger logs message module modules mesh node nz nzcore outbox "
    "pair peer pipe policy profiles relay repair restore route rules schema seal send serve service state status "
    "sync test topic trust tube unseal up version"
)
RESERVED = frozenset(_RESERVED.split())
"""Names that commands and operations of the node have, or are to have."""

Version = tuple[int, int, int]
Texts = Annotated[tuple[str, ...], Meta(max_length=OFFERS)]


class Provides(Struct, frozen=True, forbid_unknown_fields=True):
    """What a module adds to the node, by the names of its methods."""

    operations: Texts = ()
    commands: Texts = ()
    services: Texts = ()


class Requires(Struct, frozen=True, forbid_unknown_fields=True):
    """What must be enabled before it."""

    modules: dict[str, str] = {}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    version: str
    api: str
    entry: str
    summary: Annotated[str, Meta(max_length=SUMMARY_CHARACTERS)] = ""
    capabilities: Annotated[tuple[str, ...], Meta(max_length=CAPABILITIES)] = ()
    provides: Provides = Provides()
    requires: Requires = Requires()


class Manifest(Struct, frozen=True, kw_only=True):
    """A manifest that keeps every rule."""

    name: str
    version: str
    summary: str
    package: str
    """Dotted name of the file or package below the module's folder that holds the class."""
    class_name: str
    capabilities: tuple[Capability, ...]
    provides: Provides
    requires: tuple[tuple[str, str], ...]
    """Names of modules and what their versions must be."""

    @property
    def grants(self) -> Grants:
        return Grants(self.capabilities)


def parse_manifest(data: bytes) -> Manifest:
    """*Raises* PeerError `module.bad-manifest` with the fact `line`, from 1."""
    if len(data) > MANIFEST_BYTES:
        raise PeerError("module.bad-manifest", f"line 1: more than {MANIFEST_BYTES} bytes", line=1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PeerError("module.bad-manifest", f"line {line}: not UTF-8 text", line=line) from None
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        why = re.sub(r" \(at .*", "", str(error))
        raise PeerError("module.bad-manifest", f"line {line}: not TOML: {_plain(why)}", line=line) from None
    try:
        file = msgspec.convert(table, _File)
    except msgspec.ValidationError as error:
        raise _at(text, *_place(str(error)), _plain(str(error))) from None
    return _judged(file, text)


def is_name(text: str) -> bool:
    """Whether a module can be called that."""
    return NAME.fullmatch(text) is not None and text not in RESERVED


def version_of(text: str) -> Version | None:
    """`1.2` or `1.2.3` as numbers; None for anything else."""
    found = _VERSION.fullmatch(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def satisfies(version: str, demand: str) -> bool:
    """Whether a version meets `*`, or all of `>=1.2`, `<2.0`, `==1.2.3` joined by commas; false for no such demand."""
    have, clauses = version_of(version), _clauses(demand)
    if have is None or clauses is None:
        return False
    return all(have >= want if sign == ">=" else have < want if sign == "<" else have == want for sign, want in clauses)


def _clauses(demand: str) -> list[tuple[str, Version]] | None:
    if demand == "*":
        return []
    clauses = []
    for part in demand.split(",")[:8]:
        found = _CLAUSE.fullmatch(part.strip())
        want = version_of(found[2]) if found else None
        if found is None or want is None:
            return None
        clauses.append((found[1], want))
    return clauses


def _judged(file: _File, text: str) -> Manifest:
    """The rules that types can't say."""
    if not is_name(file.name):
        why = "the node uses this name itself" if file.name in RESERVED else "not a name like weather or my-notes"
        raise _at(text, ("name",), file.name, f"{file.name[:80]!r}: {why}")
    if version_of(file.version) is None:
        raise _at(text, ("version",), file.version, f"{file.version[:80]!r} is not a version like 1.0.0")
    if file.api != API:
        raise _at(text, ("api",), file.api, f"this node speaks api {API!r}, not {file.api[:80]!r}")
    entry = _ENTRY.fullmatch(file.entry)
    if entry is None:
        raise _at(text, ("entry",), file.entry, f"{file.entry[:80]!r} is not like {file.name.replace('-', '_')}:Class")
    return Manifest(
        name=file.name,
        version=file.version,
        summary=_one_line(file.summary, text),
        package=entry[1],
        class_name=entry[2],
        capabilities=_capabilities(file, text),
        provides=_provides(file, text),
        requires=_requires(file, text),
    )


def _one_line(summary: str, text: str) -> str:
    if not summary.isprintable():
        raise _at(text, ("summary",), summary, "the summary is not one line of text")
    return summary


def _capabilities(file: _File, text: str) -> tuple[Capability, ...]:
    found: list[Capability] = []
    for one in file.capabilities:
        try:
            capability = parse(one, file.name)
        except PeerError as error:
            raise _at(text, ("capabilities",), one, error.message) from None
        if capability in found:
            raise _at(text, ("capabilities",), one, f"{one!r} stands there twice")
        found.append(capability)
    if Capability("net:none") in found and (other := [c for c in found if c.kind in ("stream", "fabric")]):
        raise _at(text, ("capabilities",), "net:none", f"net:none and {other[0]} contradict each other")
    return tuple(found)


def _provides(file: _File, text: str) -> Provides:
    for kind in ("operations", "commands", "services"):
        names = getattr(file.provides, kind)
        for name in names:
            if _MEMBER.fullmatch(name) is None or names.count(name) > 1:
                raise _at(text, ("provides", kind), name, f"{name[:80]!r} is not a name, or stands there twice")
    for name in file.provides.commands:
        if name not in file.provides.operations:
            raise _at(text, ("provides", "commands"), name, f"the command {name!r} is none of the operations")
    return file.provides


def _requires(file: _File, text: str) -> tuple[tuple[str, str], ...]:
    if len(file.requires.modules) > OFFERS:
        raise _at(text, ("requires", "modules"), "", f"more than {OFFERS} modules")
    for name, demand in file.requires.modules.items():
        if not is_name(name) or name == file.name:
            raise _at(text, ("requires", "modules"), name, f"{name[:80]!r} is not the name of another module")
        if _clauses(demand) is None:
            raise _at(text, ("requires", "modules"), name, f"{demand[:80]!r} is not like >=1.0,<2.0")
    return tuple(sorted(file.requires.modules.items()))


# Finding the line: tomllib tells none for what it could read.


def _place(error: str) -> tuple[tuple[str, ...], str]:
    """Keys that lead to what msgspec complains about, and a word that should be near."""
    path = re.search(r"at `\$((?:\.\w+|\[[^\]]*\])+)`", error)
    keys = tuple(re.findall(r"\.(\w+)", path[1])) if path else ()
    unknown = re.search(r"unknown field `(.*?)`", error)
    return (*keys, unknown[1]) if unknown else keys, ""


def _at(text: str, keys: tuple[str, ...], word: str, why: str) -> PeerError:
    line = _line_of(text, keys, word)
    return PeerError("module.bad-manifest", f"line {line}: {why}", line=line)


def _line_of(text: str, keys: tuple[str, ...], word: str) -> int:
    """The line on which the last of `keys` is set, or on which `word` stands behind it; else the best that is known."""
    lines = text.split("\n")  # as TOML counts them; splitlines knows others
    start = best = 0
    for key in keys:
        pattern = re.compile(rf"""\s*\[*\s*(?:[\w"'-]+\s*\.\s*)*["']?{re.escape(key)}["']?\s*(?:\]|=|\.)""")
        inline = re.compile(rf"""[{{,]\s*["']?{re.escape(key)}["']?\s*=""")
        for number in range(start, len(lines)):
            if pattern.match(lines[number]) or inline.search(lines[number]):
                start = best = number
                break
    if word:
        for number in range(best, len(lines)):
            if word in lines[number]:
                return number + 1
    return best + 1


def _plain(text: str) -> str:
    words: Any = text.replace("`", "")
    return str(words[:1].lower() + words[1:])[:300]
