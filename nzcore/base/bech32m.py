"""Bech32m text of bytes (BIP-350): `<prefix>1<data><six check symbols>`, lower case, at most 90 characters.

Own code because the maintained packages stop at Bech32 (BIP-173), whose checksum accepts inserted letters.
"""

from nzcore.base.errors import PeerError

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECK_SYMBOLS = 6
MAX_CHARACTERS = 90  # beyond this the checksum no longer finds every four wrong symbols
_BECH32M = 0x2BC830A3
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_VALUE = {symbol: value for value, symbol in enumerate(ALPHABET)}


def encode(prefix: str, data: bytes) -> str:
    """Text of `data` under `prefix`; the caller keeps the whole within 90 characters."""
    symbols = _regroup(data, 8, 5)
    check = _polymod([*_expand(prefix), *symbols, *([0] * CHECK_SYMBOLS)]) ^ _BECH32M
    symbols += [(check >> 5 * (CHECK_SYMBOLS - 1 - i)) & 31 for i in range(CHECK_SYMBOLS)]
    return prefix + "1" + "".join(ALPHABET[symbol] for symbol in symbols)


def decode(prefix: str, text: str) -> bytes:
    """Bytes behind `text`, which must carry `prefix`; all-upper-case text (as in QR codes) is accepted.

    *Raises* PeerError `base.bad-text` for anything else.
    """
    lower = text.lower()
    head, _, tail = lower.rpartition("1")
    if len(text) > MAX_CHARACTERS or text not in (lower, text.upper()) or head != prefix:
        raise PeerError("base.bad-text")
    if len(tail) < CHECK_SYMBOLS or any(symbol not in _VALUE for symbol in tail):
        raise PeerError("base.bad-text")
    symbols = [_VALUE[symbol] for symbol in tail]
    if _polymod([*_expand(prefix), *symbols]) != _BECH32M:
        raise PeerError("base.bad-text")
    return bytes(_regroup(symbols[:-CHECK_SYMBOLS], 5, 8))


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, factor in enumerate(_GENERATOR):
            if top >> i & 1:
                check ^= factor
    return check


def _regroup(values: bytes | list[int], width: int, new_width: int) -> list[int]:
    """Regroups bits; going up pads with zeros, going down refuses padding that is not a few zeros."""
    held, bits, out = 0, 0, []
    for value in values:
        held, bits = (held << width | value) & 0xFFF, bits + width
        while bits >= new_width:
            bits -= new_width
            out.append(held >> bits & ((1 << new_width) - 1))
    rest = held & ((1 << bits) - 1)
    if new_width < width:
        return [*out, rest << (new_width - bits)] if bits else out
    if bits >= width or rest:
        raise PeerError("base.bad-text")
    return out
