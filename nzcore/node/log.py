"""The node's log: one JSON object a line in `HOME/logs/node.log`, rotated by size.

What the node reports goes over the bus; the journal service writes it here. Nothing secret is ever put on the
bus, so nothing secret is logged.
"""

import logging
import os
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog

from nzcore.base.errors import UnavailableError
from nzcore.node.config import Log
from nzcore.node.home import FILE_MODE


class _PrivateFiles(RotatingFileHandler):
    """Makes each file readable by its owner only, whatever the umask says (spec/env.md §1)."""

    def _open(self) -> TextIOWrapper:
        return open(
            self.baseFilename, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, FILE_MODE)
        )


class NodeLog:
    """Appends lines `{"at": ISO-8601 UTC, "level", "event", …}`; a context manager that closes the file."""

    def __init__(self, path: Path, settings: Log) -> None:
        """*Raises* UnavailableError `node.unwritable`."""
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
                structlog.processors.JSONRenderer(default=str),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def write(self, level: str, event: str, **facts: object) -> None:
        """Writes one line at `level` (debug, info, warning, error)."""
        self._log.log(logging.getLevelNamesMapping()[level.upper()], event, **facts)

    def __enter__(self) -> "NodeLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._handler.close()
