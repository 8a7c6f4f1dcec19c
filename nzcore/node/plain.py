"""Values of events as anybody can print them: named tuples become maps, ids text, the rest what msgspec makes of it."""

from nzcore.base.errors import UsageError
from nzcore.codec.types import builtins


def plain(value: object) -> object:
    """`value` as map, list, text, number, boolean, bytes or None; its `repr` where it has no such form."""
    if hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    try:
        return builtins(value)
    except UsageError:
        return repr(value)
