"""Whether a home's files are the ones that were written there, or copies put back (spec/ticket.md §6)."""

import os
from pathlib import Path

from nzcore.base.errors import UnavailableError
from nzcore.crypto.hashing import sha256
from nzcore.crypto.random import random_bytes
from nzcore.node.home import FILE_MODE, Home

PLACE_BYTES = 32
PLACE_LABEL = b"NZ-TICKET-01 place\0"


def place_of(home: Home) -> bytes:
    """32 bytes that change when files of `home` are restored, copied or moved; looks at two files, does not wait.

    *Raises* UnavailableError `node.unwritable`.
    """
    try:
        store = home.database.stat()  # before all: where there is a place, there was a store (`Home.require_store`)
        mark = _mark(home.place)
        here = home.place.stat()
    except OSError as error:
        raise UnavailableError("node.unwritable", f"cannot use {home.place}: {error.strerror}") from error
    numbers = (here.st_ino, here.st_ctime_ns, store.st_ino)
    return sha256(PLACE_LABEL, mark, *(number.to_bytes(8, "big") for number in numbers))


def _mark(path: Path) -> bytes:
    """The mark of a home, made where there is none; half a one, after a crash, is made anew."""
    try:
        mark = path.read_bytes()
    except FileNotFoundError:
        mark = b""
    if len(mark) == PLACE_BYTES:
        return mark
    path.unlink(missing_ok=True)
    mark = random_bytes(PLACE_BYTES)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(mark)
        file.flush()
        os.fsync(file.fileno())
    return mark
