"""A home knows its own files from copies of them."""

import os
import shutil

import pytest

from nzcore.base.errors import UnavailableError
from nzcore.node.home import Home
from nzcore.node.place import place_of


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.make_folders()
    made.database.write_bytes(b"rows")
    return made


def restored(home, copy):
    """`copy` put in the place of `home`, as a backup program would, times and modes preserved."""
    shutil.rmtree(home.path)
    shutil.copytree(copy, home.path, copy_function=shutil.copy2)


def test_a_place_stays_the_same_while_the_store_is_written(home):
    before = place_of(home)
    with home.database.open("ab") as file:
        file.write(b"more rows")
    assert place_of(home) == before
    assert home.place.stat().st_mode & 0o777 == 0o600


def test_a_home_put_back_from_a_copy_is_another_place(home, tmp_path):
    before = place_of(home)
    shutil.copytree(home.path, tmp_path / "backup", copy_function=shutil.copy2)
    restored(home, tmp_path / "backup")
    assert place_of(home) != before


def test_a_copy_made_in_place_is_another_place_too(home, tmp_path):
    """`cp backup/* home/`: the same inodes, but nobody can set a change time."""
    before = place_of(home)
    mark = home.place.read_bytes()
    home.place.write_bytes(mark)
    assert place_of(home) != before


def test_a_store_that_was_replaced_alone_is_another_place(home):
    before = place_of(home)
    replacement = home.path / "store.new"
    replacement.write_bytes(b"older rows")
    os.replace(replacement, home.database)
    assert place_of(home) != before


def test_a_renamed_home_is_the_same_place(home, tmp_path):
    before = place_of(home)
    home.path.rename(tmp_path / "moved")
    assert place_of(Home(tmp_path / "moved")) == before


@pytest.mark.parametrize("half", [b"", b"half"])
def test_half_a_mark_after_a_crash_is_made_anew(home, half):
    before = place_of(home)
    home.place.write_bytes(half)
    assert place_of(home) != before
    assert len(home.place.read_bytes()) == 32


def test_a_home_without_a_store_has_no_place_yet(home):
    home.database.unlink()
    with pytest.raises(UnavailableError, match="cannot use"):
        place_of(home)
    assert not home.place.exists()
