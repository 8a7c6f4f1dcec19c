"""Typed values from decoded ones and back, by msgspec: the shape of every message is a Struct or an annotation.

Ids travel as text. Bytes stay bytes in MessagePack and are base64 in JSON, where they are read back from it.
"""

from typing import Any, TypeVar

import msgspec

from nzcore.base.errors import NzError, PeerError, UsageError
from nzcore.base.ids import Id

T = TypeVar("T")


def convert(value: object, type_: type[T]) -> T:
    """`value` (from `frames.unpack` or JSON) as a `type_`, checked to the last field; unknown fields are ignored.

    *Raises* PeerError `codec.wrong-type`, whose message names the place, as in "expected `int`, got `str` - at
    `$.name`"; UsageError `codec.unencodable` for a type that no message can hold.
    """
    try:
        return msgspec.convert(value, type_, str_keys=True, dec_hook=_from_builtin)
    except (msgspec.ValidationError, RecursionError) as error:
        text = str(error)
        raise PeerError("codec.wrong-type", text[:1].lower() + text[1:]) from error


def builtins(value: object) -> object:
    """Structs and what they hold as dict (text keys), list, str, int, float, bool, bytes, None; ids as text.

    *Raises* UsageError `codec.unencodable` for types without such a form.
    """
    try:
        return msgspec.to_builtins(value, builtin_types=(bytes,), str_keys=True, enc_hook=_to_builtin)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("codec.unencodable", type=type(value).__name__) from error


def json_line(value: object) -> bytes:
    """Compact JSON in UTF-8 on one line, without the line's end; bytes as base64, ids as text.

    *Raises* UsageError `codec.unencodable` for types without such a form.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_to_builtin)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("codec.unencodable", type=type(value).__name__) from error


def schema(type_: Any) -> dict[str, Any]:
    """JSON Schema (2020-12) of a type, with the definitions that it refers to.

    *Raises* UsageError `codec.unencodable` for a type that no message can hold.
    """
    return msgspec.json.schema(type_, schema_hook=_schema_of)


def _to_builtin(value: object) -> object:
    if isinstance(value, Id):
        return value.text
    if isinstance(value, bytes):  # other named bytes: keys, signatures
        return bytes(value)
    raise TypeError(type(value).__name__)


def _from_builtin(type_: type[Any], value: object) -> object:
    """What msgspec asks for types that it does not know; a ValueError here becomes its error with the place."""
    if not issubclass(type_, bytes):  # no ValueError: our annotation is wrong, not the value
        raise UsageError("codec.unencodable", "a type that no message can hold", type=type_.__name__)
    if isinstance(value, type_):
        return value
    if issubclass(type_, Id) and isinstance(value, str):
        try:
            return type_.parse(value)
        except NzError as error:
            raise ValueError(error.message) from error
    if issubclass(type_, Id) or not isinstance(value, bytes | str):
        raise ValueError(f"expected `{type_.__name__}`, got `{type(value).__name__}`")
    try:
        return type_(msgspec.convert(value, bytes))
    except NzError as error:
        raise ValueError(error.message) from error


def _schema_of(type_: type[Any]) -> dict[str, Any]:
    if issubclass(type_, Id):
        return {"type": "string", "pattern": f"^{type_.PREFIX}1[02-9ac-hj-np-z]{{58}}$"}
    if issubclass(type_, bytes):
        return {"type": "string", "contentEncoding": "base64"}
    raise UsageError("codec.unencodable", "a type that no message can hold", type=type_.__name__)
