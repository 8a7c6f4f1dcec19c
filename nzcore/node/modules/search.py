"""Where modules are found: in the home, in installed packages, beside nzcore (spec/module.md §5). Runs none of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import nzcore
from nzcore.base.errors import NzError, PeerError
from nzcore.node.modules.folder import Snapshot, read_folder
from nzcore.node.modules.manifest import FILE_NAME, is_name

GROUP = "nzcore.modules"
"""Entry points of installed packages: the module's name = the package that is its folder."""

MODULES = 256
"""Most folders that are looked at in one place."""

SourceKind = Literal["home", "installed", "bundled"]


class Found(NamedTuple):
    """One folder that may be a module, as it was read; `error` where it could not be."""

    name: str
    folder: Path
    source: SourceKind
    snapshot: Snapshot | None
    error: NzError | None

    @property
    def problem(self) -> str:
        return self.error.message if self.error else ""


def survey(home: Path) -> dict[str, Found]:
    """Every module by name; the home's come before installed ones, those before bundled ones. Blocks."""
    found: dict[str, Found] = {}
    for name, (folder, source) in _places(home).items():
        found[name] = look(name, folder, source)
    return found


def find(home: Path, name: str) -> Found | None:
    """One of them. Blocks."""
    place = _places(home).get(name)
    return look(name, *place) if place else None


def names(home: Path) -> list[str]:
    """What lies where modules lie, by name, unread. Blocks, for the first look at installed packages 25 ms."""
    return [name for name, (folder, _) in _places(home).items() if is_name(name) and (folder / FILE_NAME).is_file()]


def look(name: str, folder: Path, source: SourceKind) -> Found:
    """Reads one folder, which must be called as its manifest says."""
    try:
        snapshot = read_folder(folder)
        if snapshot.manifest.name != name:
            message = f"the manifest says {snapshot.manifest.name}, the folder or the entry point says {name[:64]}"
            raise PeerError("module.bad-manifest", message)
    except NzError as error:
        return Found(name, folder, source, None, error)
    return Found(name, folder, source, snapshot, None)


def bundled_folder() -> Path | None:
    """The modules that came with nzcore: in the package, or beside it in a checkout."""
    package = Path(nzcore.__file__).parent
    for folder in (package / "bundled", package.parent / "modules"):
        if (folder / "hello" / FILE_NAME).is_file():
            return folder
    return None


def _places(home: Path) -> dict[str, tuple[Path, SourceKind]]:
    places: dict[str, tuple[Path, SourceKind]] = {}
    for source, folders in (
        ("home", _inside(home)),
        ("installed", _installed()),
        ("bundled", _inside(bundled_folder())),
    ):
        for name, folder in folders:
            places.setdefault(name, (folder, source))  # type: ignore[arg-type]  # the literals of SourceKind
    return dict(sorted(places.items()))


def _inside(folder: Path | None) -> Iterator[tuple[str, Path]]:
    if folder is None:
        return
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
    except OSError:  # not there
        return
    yield from ((name, folder / name) for name in names[:MODULES])


def _installed() -> Iterator[tuple[str, Path]]:
    from importlib.metadata import entry_points  # 25 ms, and only who looks for modules pays them

    for one in sorted(entry_points(group=GROUP), key=lambda one: one.name)[:MODULES]:
        folder = _located(one.value.partition(":")[0], one.dist)
        if is_name(one.name) and folder is not None:
            yield one.name, folder


def _located(package: str, distribution: object) -> Path | None:
    """The folder of a package, found without importing anything."""
    from importlib.machinery import PathFinder
    from importlib.metadata import Distribution

    if isinstance(distribution, Distribution):
        folder = Path(str(distribution.locate_file(package.replace(".", "/"))))
        if folder.is_dir():
            return folder
    spec = PathFinder.find_spec(package) if "." not in package else None  # installed in place
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None
