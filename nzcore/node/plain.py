"""Values of events as anybody can print them: named tuples become maps, ids text, the rest what msgspec makes of it.

And paths as anybody can: not all of them are text.
"""

import os

from nzcore.base.errors import UsageError
from nzcore.codec.types import builtins

TEXT_CHARACTERS = 500
"""Longest text of a value that has no other form."""


def plain(value: object) -> object:
    """`value` as map, list, text, number, boolean, bytes or None; its `repr` where it has no such form.

    Never raises: whoever shows events must not end because of one.
    """
    try:
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return {name: plain(item) for name, item in value._asdict().items()}
        return builtins(value)
    except UsageError:
        return _text(value)
    except Exception:  # a crash boundary: the value is somebody else's object, with code of its own
        return _text(value)


def plain_path(path: str | os.PathLike[str]) -> str:
    """A path, or a part of one, as a message can carry it: what of it is not UTF-8 is replaced."""
    return os.fsencode(path).decode(errors="replace")


def _text(value: object) -> str:
    try:
        return repr(value)[:TEXT_CHARACTERS]
    except Exception as error:  # likewise
        return f"<{type(value).__name__}, whose text raised {type(error).__name__}>"
