"""The node's log: one JSON object a line in `HOME/logs/node.log`, rotated by size.

What the node reports goes over the bus; the journal service writes it here. Nothing secret is ever put on the
bus, so nothing secret is logged.
"""

import logging
import os
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog

from nzcore.base.errors import UnavailableError
from nzcore.node.config import Log
from nzcore.node.home import FILE_MODE


class _PrivateFiles(RotatingFileHandler):
    """Makes each file readable by its owner only, whatever the umask says (spec/env.md §1); failures are raised."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Called within the handling of what a write or a rotation raised, which `logging` would print and forget."""
        raise

    def _open(self) -> TextIOWrapper:
        return open(
            self.baseFilename, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, FILE_MODE)
        )


class NodeLog:
    """Appends lines `{"at": ISO-8601 UTC, "level", "event", …}`; a context manager that closes the file."""

    def __init__(self, path: Path, settings: Log) -> None:
        """*Raises* UnavailableError `node.unwritable`."""
        self._path = path
        try:
            self._handler = _PrivateFiles(
                path, maxBytes=settings.max_bytes, backupCount=settings.keep, encoding="utf-8"
            )
        except OSError as error:
            raise UnavailableError("node.unwritable", f"cannot write {path}: {error.strerror}") from error
        self._handler.setFormatter(logging.Formatter("%(message)s"))
        logger = logging.Logger("nzcore", logging.getLevelNamesMapping()[settings.level.upper()])
        logger.addHandler(self._handler)
        self._log: Any = structlog.wrap_logger(
            logger,
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
                structlog.processors.JSONRenderer(default=_jsonable),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def write(self, level: str, event: str, **facts: object) -> None:
        """Writes one line at `level` (debug, info, warning, error); facts that JSON can't hold are written as text.

        *Raises* UnavailableError `node.unwritable`.
        """
        number = logging.getLevelNamesMapping()[level.upper()]
        try:
            try:
                self._log.log(number, event, **facts)
            except (TypeError, ValueError, RecursionError):  # as keys of maps that are no text
                self._log.log(number, event, **{name: str(fact) for name, fact in facts.items()})
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise UnavailableError("node.unwritable", f"cannot write {self._path}: {why}") from error

    def __enter__(self) -> "NodeLog":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written before can't be now
            self._handler.close()


def _jsonable(value: object) -> str:
    """Bytes as hexadecimal, as the command line shows them."""
    return value.hex() if isinstance(value, bytes | bytearray) else str(value)
