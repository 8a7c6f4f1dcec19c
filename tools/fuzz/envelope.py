"""Any bytes as an envelope, whole and in pieces, from its head and from within its records."""

import json
from pathlib import Path

from nzcore.base.errors import PeerError
from nzcore.proto.envelope.layout import HEAD_BYTES
from tools.vectors.envelope import cast, opener_of, seal

_BOB = cast("bob")
_GENUINE = seal(cast("alice"), _BOB.certificate, b"hello")
_VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "envelope.json").read_text(encoding="utf-8"))
_OPENABLE = {
    _GENUINE,
    *(bytes.fromhex(case.get("envelope", "")) for case in _VECTORS["cases"] if case["expect"] == "ok"),
}
"""What holders of keys have made: the vectors are where a fuzzer begins."""

_STARTS = (b"", _GENUINE[:8], _GENUINE[:HEAD_BYTES], _GENUINE[:-40])


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and nothing but a genuine envelope gets a sender."""
    for start in _STARTS:
        opener = opener_of(_BOB)
        half = len(data) // 2
        try:
            opener.feed(start + data[:half])
            opener.feed(data[half:])
            opener.finish()
        except PeerError:
            continue
        assert start + data in _OPENABLE
