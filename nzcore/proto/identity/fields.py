"""Closed maps of signed objects: each field looked at once, with its exact type and range (NZ-IDENTITY-01 §1).

Knows no purpose: the caller names the code of its refusals. Unknown keys are refused, because a new field is a
new version: what one side ignores and another obeys is how two implementations come to disagree.
"""

from nzcore.base.errors import PeerError
from nzcore.codec.cbor import Value

VERSION = 1
U32 = (1 << 32) - 1
U63 = (1 << 63) - 1
MAX_ISSUED = (1 << 37) - 1  # Unix seconds, in the year 6325: what every calendar library can still show


class Fields:
    """Typed access to one decoded map whose field 0 is the version."""

    def __init__(self, value: Value, code: str, *, required: set[int], optional: frozenset[int] = frozenset()) -> None:
        """*Raises* PeerError `code` unless `value` is a map of these keys, `identity.unknown-version` unless 0 is 1."""
        if not isinstance(value, dict):
            raise PeerError(code, field=None)
        self._code = code
        self._value = value
        if self.integer(0) != VERSION:
            raise PeerError("identity.unknown-version", version=value[0])
        wrong = (required | {0}) ^ (value.keys() - optional)
        if wrong:
            raise PeerError(code, field=min(wrong))

    def __contains__(self, key: int) -> bool:
        return key in self._value

    def integer(self, key: int, low: int = 0, high: int = U63) -> int:
        value = self._value.get(key)
        if type(value) is not int or not low <= value <= high:  # bool is an int and must not pass
            raise PeerError(self._code, field=key)
        return value

    def binary(self, key: int, low: int, high: int | None = None) -> bytes:
        value = self._value.get(key)
        if not isinstance(value, bytes) or not low <= len(value) <= (low if high is None else high):
            raise PeerError(self._code, field=key)
        return value

    def text(self, key: int, high: int) -> str:
        """Between 1 and `high` bytes of UTF-8."""
        value = self._value.get(key)
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= high:
            raise PeerError(self._code, field=key)
        return value

    def texts(self, key: int, count: int, high: int) -> list[str]:
        """At most `count` texts of 1 to `high` bytes each."""
        value = self._value.get(key)
        if not isinstance(value, list) or len(value) > count:
            raise PeerError(self._code, field=key)
        texts = [entry for entry in value if isinstance(entry, str) and 1 <= len(entry.encode()) <= high]
        if len(texts) != len(value):
            raise PeerError(self._code, field=key)
        return texts
