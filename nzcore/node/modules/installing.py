"""Copies a module into the home and takes it out again: what was read is what is written, whole or not at all."""

import shutil
from pathlib import Path

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.node.modules.folder import Snapshot
from nzcore.node.plain import plain_path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def install_folder(snapshot: Snapshot, modules: Path, replace: bool) -> Path:
    """Writes a snapshot to `modules/NAME`. *Raises* UsageError `module.exists` unless `replace`; UnavailableError
    `module.unreadable`."""
    target = modules / snapshot.manifest.name
    fresh, old = modules / f".new-{target.name}", modules / f".old-{target.name}"
    if target.exists() and not replace:
        raise UsageError("module.exists", f"there is a module {target.name} in {plain_path(modules)}")
    try:
        modules.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        for left in (fresh, old):  # of an attempt that was cut short
            shutil.rmtree(left, ignore_errors=True)
        for path, data in snapshot.files.items():
            place = fresh / path
            place.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            place.write_bytes(data)
            place.chmod(FILE_MODE)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UnavailableError("module.unreadable", f"cannot write {plain_path(target)}: {error.strerror}") from None
    return target


def remove_folder(folder: Path) -> None:
    """*Raises* UnavailableError `module.unreadable`."""
    gone = folder.with_name(f".old-{folder.name}")
    try:
        shutil.rmtree(gone, ignore_errors=True)
        if folder.is_symlink():
            folder.unlink()
        else:
            folder.rename(gone)  # at once, so that half a module is never found
            shutil.rmtree(gone, ignore_errors=True)
    except OSError as error:
        raise UnavailableError("module.unreadable", f"cannot remove {plain_path(folder)}: {error.strerror}") from None
