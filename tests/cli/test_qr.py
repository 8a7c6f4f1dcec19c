"""QR codes as they are drawn and as pictures: what a terminal of any encoding shows can be scanned."""

import re
import sys
from io import StringIO
from pathlib import Path

import pytest

from nzcore.base.errors import NzError
from nzcore.cli import qr

TEXT = "NZ:" + "ABCDEFGH234567" * 8


def test_a_drawn_code_has_two_rows_a_line_and_a_border() -> None:
    lines = qr.drawn(TEXT).splitlines()
    assert len(lines) == -(-qr.width(TEXT) // 2)
    assert {len(line) for line in lines} == {qr.width(TEXT)}
    assert set("".join(lines)) <= set("█▀▄ ")
    assert set(lines[0] + lines[1]) == {"█"}


class Ascii(StringIO):
    """An output that has no half blocks."""

    encoding = "ascii"

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def isatty(self) -> bool:
        return self._colours


@pytest.mark.parametrize("colours", [False, True], ids=["plain", "coloured"])
def test_where_the_encoding_lacks_blocks_a_code_is_drawn_in_number_signs(
    monkeypatch: pytest.MonkeyPatch, colours: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", Ascii(colours=colours))
    drawn = qr.drawn(TEXT)
    assert drawn.isascii()
    assert ("\x1b" in drawn) == colours
    lines = re.sub("\x1b\\[[0-9;]*m", "", drawn).splitlines()
    assert {len(line) for line in lines} == {qr.width(TEXT)} == {2 * len(lines)}
    pixels = [[line[at : at + 2] == "  " for at in range(0, len(line), 2)] for line in lines]
    assert pixels == qr.modules(TEXT)


def test_a_picture_is_read_as_it_was_written(tmp_path: Path) -> None:
    pytest.importorskip("zxingcpp", reason="the extra `picture` is not installed")
    path = tmp_path / "code.png"
    path.write_bytes(qr.png(TEXT))
    assert qr.read(str(path)) == TEXT
    path.write_bytes(qr.png("HTTPS://EXAMPLE.ORG"))
    with pytest.raises(NzError) as refused:
        qr.read(str(path))
    assert refused.value.code == "cli.no-code"
