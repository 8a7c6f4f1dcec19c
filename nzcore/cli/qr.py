"""QR codes: drawn on a terminal, written as PNG, read from a picture.

Drawn in half blocks, or, where the terminal's encoding lacks them, in pairs of number signs: twice as large each way.
Only reading needs libraries that are not always installed (the extra `picture`).
"""

import os
import struct
import sys
import zlib
from itertools import groupby
from pathlib import Path

from nzcore.base.errors import UnavailableError, UsageError

BORDER = 4
"""Light modules around a code, as its standard asks."""

SCALE = 8
"""Pixels a module in a picture."""

PICTURE_BYTES = 32 << 20
PICTURE_PIXELS = 64_000_000
"""Larger pictures are not opened: a photograph has a quarter of that."""

_BLOCKS = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}  # light is drawn
_SIGNS = {False: "##", True: "  "}
_LIGHT_ON_DARK = "\x1b[38;5;231;48;5;16m"  # whatever the terminal's own colours are
_SOLID = {False: "\x1b[38;5;231;48;5;231m", True: _LIGHT_ON_DARK}  # number signs that fill their places
_PLAIN = "\x1b[0m"

Modules = list[list[bool]]


def modules(text: str) -> Modules:
    """The code of `text`, true where it is dark, with its border. `text` should be upper case: fewer modules."""
    import qrcode

    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, border=BORDER)
    code.add_data(text, optimize=0)
    code.make(fit=True)
    return [[bool(cell) for cell in row] for row in code.get_matrix()]


def drawn(text: str) -> str:
    """Two rows of modules a line where the terminal has half blocks, in colours of its own where it has colours."""
    rows = modules(text)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    if not _has_blocks():
        return "".join(_row_in_signs(row, plain=plain) for row in rows)
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    before, after = ("", "") if plain else (_LIGHT_ON_DARK, _PLAIN)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "".join(
        before + "".join(_BLOCKS[cells] for cells in zip(upper, lower, strict=True)) + after + "\n"
        for upper, lower in pairs
    )


def width(text: str) -> int:
    """Columns that `drawn` takes."""
    return len(modules(text)) * (1 if _has_blocks() else 2)


def _has_blocks() -> bool:
    try:
        "█▀▄".encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _row_in_signs(row: list[bool], *, plain: bool) -> str:
    if plain:
        return "".join(_SIGNS[cell] for cell in row) + "\n"
    return "".join(_SOLID[dark] + _SIGNS[dark] * len([*run]) for dark, run in groupby(row)) + _PLAIN + "\n"


def png(text: str) -> bytes:
    """A picture of the code: greyscale, one bit a pixel."""
    rows = modules(text)
    size = len(rows) * SCALE
    lines = []
    for row in rows:
        bits = "".join(("0" if dark else "1") * SCALE for dark in row)
        bits += "0" * (-len(bits) % 8)
        line = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")  # filter 0: as it is
        lines += [line] * SCALE
    head = struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)
    body = zlib.compress(b"".join(lines), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def read(path: str) -> str:
    """The text of the one QR code of a ticket or card in a picture.

    *Raises* UnavailableError `cli.no-picture-reader`, `cli.unreadable`; UsageError `cli.no-code` for none or several.
    """
    try:
        import zxingcpp
        from PIL import Image
    except ImportError as error:
        raise UnavailableError("cli.no-picture-reader", f"pictures need the module {error.name}") from error
    try:
        if Path(path).stat().st_size > PICTURE_BYTES:
            raise UnavailableError("cli.unreadable", f"{path} has more than {PICTURE_BYTES >> 20} MiB")
        with Image.open(path) as picture:
            if picture.width * picture.height > PICTURE_PIXELS:
                raise UnavailableError("cli.unreadable", f"{path} has more than {PICTURE_PIXELS:,} pixels")
            found = zxingcpp.read_barcodes(picture.convert("L"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        why = getattr(error, "strerror", None) or "it is no picture that can be read"
        raise UnavailableError("cli.unreadable", f"cannot read {path}: {why}") from error
    texts = {one.text for one in found if one.text.lower().startswith(("nz:", "nzc:"))}
    if len(texts) != 1:
        what = "no ticket and no card" if not texts else "several codes"
        raise UsageError("cli.no-code", f"{path} shows {what}")
    return str(texts.pop())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
