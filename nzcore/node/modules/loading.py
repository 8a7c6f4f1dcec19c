"""Code from a snapshot, under a package name that nothing else has: reloading really reloads, versions don't collide.

Python never reads a file of a module from disk: source comes from the bytes that were hashed.
"""

import itertools
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType
from typing import NamedTuple

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.kernel.described import describe
from nzcore.module import Module
from nzcore.node.modules.declared import Declared, declared_by
from nzcore.node.modules.folder import Snapshot
from nzcore.node.modules.manifest import Manifest

PREFIX = "nzmodule_"
"""No package of anybody else begins like this."""

TRACE_CHARACTERS = 8192
_serial = itertools.count(1)


class Loaded(NamedTuple):
    """A module whose code was executed and judged."""

    manifest: Manifest
    digest: str
    kind: type[Module]
    declared: Declared
    root: str
    """Name of its package in `sys.modules`."""


class LoadError(UnavailableError):
    """The module's own code failed; `trace` says where."""

    def __init__(self, code: str, message: str, trace: str) -> None:
        super().__init__(code, message)
        self.trace = trace


def load(snapshot: Snapshot) -> Loaded:
    """Executes the module's code. Runs strangers' code: takes as long as that does.

    *Raises* LoadError `module.load-failed`, UsageError `module.bad-entry` and as `declared_by`; then nothing of it is
    left in the interpreter.
    """
    manifest = snapshot.manifest
    root = f"{PREFIX}{manifest.name.replace('-', '_')}_{next(_serial)}"
    _FINDER.add(root, snapshot)
    try:
        kind = _entry(root, manifest)
        return Loaded(manifest, snapshot.digest, kind, _declared(kind, manifest, root), root)
    except BaseException:
        unload(root)
        raise


def unload(root: str) -> None:
    """Forgets a package and all that it imported of itself. Objects made of it live as long as somebody holds them."""
    _FINDER.drop(root)
    for name in [name for name in sys.modules if name == root or name.startswith(f"{root}.")]:
        sys.modules.pop(name, None)


def _entry(root: str, manifest: Manifest) -> type[Module]:
    place = f"{manifest.package}:{manifest.class_name}"
    try:
        __import__(f"{root}.{manifest.package}")
        package = sys.modules[f"{root}.{manifest.package}"]
        kind = getattr(package, manifest.class_name, None)
    except ModuleNotFoundError as error:
        if error.name == f"{root}.{manifest.package}":
            raise UsageError("module.bad-entry", f"there is no {manifest.package}.py for the entry {place}") from None
        raise _failed(error, root) from None
    except (Exception, SystemExit) as error:  # a crash boundary: the module's own code
        raise _failed(error, root) from None
    if not isinstance(kind, type) or not issubclass(kind, Module):
        raise UsageError("module.bad-entry", f"{place} is no subclass of nzcore.module.Module")
    return kind


def _declared(kind: type[Module], manifest: Manifest, root: str) -> Declared:
    """Reading a class runs its code, too: descriptors, metaclasses, annotations."""
    try:
        return declared_by(kind, manifest)
    except UsageError as error:
        if not error.code.startswith("module."):
            raise _failed(error, root) from None
        raise
    except (Exception, SystemExit) as error:  # a crash boundary, as above
        raise _failed(error, root) from None


def _failed(error: BaseException, root: str) -> LoadError:
    trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:].replace(f"{root}.", "")
    text = describe(error).replace(f"{root}.", "")
    return LoadError("module.load-failed", f"its code raised {text}", trace)


class _Source(InspectLoader):
    """One file of a snapshot, or a folder of it without code of its own."""

    def __init__(self, path: str, source: bytes | None, origin: str) -> None:
        self._source = source
        self._origin = origin
        self._path = path

    def get_source(self, fullname: str) -> str | None:
        return None if self._source is None else self._source.decode("utf-8", "replace")

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source or b"", self._origin, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return self._source is None or self._path.endswith("__init__.py")

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self._origin
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - running enabled code is the purpose


class _Finder(MetaPathFinder):
    """Finds modules of loaded snapshots in memory; one for the whole process."""

    def __init__(self) -> None:
        self._snapshots: dict[str, Snapshot] = {}

    def add(self, root: str, snapshot: Snapshot) -> None:
        self._snapshots[root] = snapshot
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def drop(self, root: str) -> None:
        self._snapshots.pop(root, None)
        if not self._snapshots and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, inner = fullname.partition(".")
        snapshot = self._snapshots.get(root)
        if snapshot is None:
            return None
        source = _source_of(snapshot.files, inner.replace(".", "/"), str(snapshot.folder))
        return spec_from_loader(fullname, source) if source else None


def _source_of(files: Mapping[str, bytes], place: str, folder: str) -> _Source | None:
    if not place:
        return _Source("", None, folder)
    for path in (f"{place}/__init__.py", f"{place}.py"):
        if path in files:
            return _Source(path, files[path], f"{folder}/{path}")
    return _Source("", None, f"{folder}/{place}") if any(path.startswith(f"{place}/") for path in files) else None


_FINDER = _Finder()
