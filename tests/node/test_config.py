import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import UnavailableError, UsageError
from nzcore.node import config
from nzcore.store.files import write_new


def test_an_absent_file_means_the_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path / "config.toml") == config.Config()


def test_a_set_value_is_read_again_and_comments_survive(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n[log]\nlevel = 'error' # quiet\n")
    config.store(path, "supervision.intensity", "9")
    text = path.read_text()
    assert "# mine" in text
    assert "# quiet" in text
    loaded = config.load(path)
    assert (loaded.supervision.intensity, loaded.log.level) == (9, "error")


@pytest.mark.parametrize(
    ("key", "value"),
    [("log.level", "loud"), ("supervision.intensity", "many"), ("supervision.intensity", "0"), ("log.keep", "1.5")],
)
def test_a_value_of_another_type_is_refused_and_nothing_is_written(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(UsageError) as caught:
        config.store(path, key, value)
    assert caught.value.code == "node.bad-setting"
    assert key in caught.value.message
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("tcp://127.0.0.1:4000", ["tcp://127.0.0.1:4000"]),
        ("tcp://127.0.0.1:4000, tcp://[::1]:4000", ["tcp://127.0.0.1:4000", "tcp://[::1]:4000"]),
        ('["tcp://127.0.0.1:4000"]', ["tcp://127.0.0.1:4000"]),
        ("", []),
    ],
)
def test_a_list_is_written_as_it_is_shown_or_as_toml_has_it(tmp_path: Path, text: str, addresses: list[str]) -> None:
    stored = config.store(tmp_path / "config.toml", "net.listen", text)
    assert config.find(stored, "net.listen").value == addresses


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("net.mdns", "maybe", "net.mdns is of type true|false, which 'maybe' is not"),
        ("log.level", "loud", "log.level is of type debug|info|warning|error, which 'loud' is not"),
        ("files.at_once", "999", "files.at_once cannot be '999': expected a number <= 64"),
    ],
)
def test_what_a_setting_cannot_be_is_said_in_the_words_of_its_type(
    tmp_path: Path, key: str, value: str, message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        config.store(tmp_path / "config.toml", key, value)
    assert refused.value.message == message


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        config.find(config.Config(), "log.levle")
    assert "log.level" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["log = 3", "[log]\nlevle = 'info'", "[nothing]\n", "\x00", "[log", "a = " + "[" * 5000, "x" * 70_000]
)
def test_a_damaged_file_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UnavailableError) as caught:
        config.load(path)
    assert caught.value.code == "node.damaged-config"
    assert str(path) in caught.value.message


@given(data=st.binary(max_size=300))
def test_any_bytes_are_settings_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_bytes(data)
    try:
        loaded = config.load(path)
    except UnavailableError:
        return
    assert isinstance(loaded, config.Config)


def test_every_setting_has_a_type_and_a_description() -> None:
    for setting in config.settings(config.Config()):
        assert setting.type
        assert setting.summary
        assert setting.value == setting.default


def test_none_restores_the_default(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    config.store(path, "log.keep", 7)
    config.store(path, "log.keep", None)
    assert config.load(path) == config.Config()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[channels]\nkeepalive_s = 100\n", "keepalive_s must be less than dead_s"),
        ("[door]\nreserved = 128\n", "reserved must be less than max_half_open"),
        ("[net]\nlisten = ['here']\n", "'here' is not an address"),
        ("[supervision]\nperiod_s = nan\n", "$.supervision.period_s"),
        ("[supervision]\nperiod_s = inf\n", "$.supervision.period_s"),
        ("[supervision]\nintensity = true\n", "$.supervision.intensity"),
    ],
)
def test_settings_that_contradict_each_other_are_damage_with_the_place_named(
    tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UnavailableError) as caught:
        config.load(path)
    assert caught.value.code == "node.damaged-config"
    assert place in caught.value.message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channels.keepalive_s", "90"),
        ("net.listen", ["\udcff"]),
        ("net.listen", "[" * 5000),
        ("net.listen", ["tcp://127.0.0.1:7000"] * 3000),
        ("log.keep", True),
        ("supervision.period_s", "nan"),
    ],
)
def test_what_the_next_start_would_refuse_is_not_written(tmp_path: Path, key: str, value: str | list[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n")
    with pytest.raises(UsageError) as caught:
        config.store(path, key, value)
    assert caught.value.code == "node.bad-setting"
    assert len(caught.value.message) < 300
    assert path.read_text() == "# mine\n"


@pytest.mark.parametrize(
    "text",
    [
        "log = {level = 'error'}\n",
        "log.level = 'error'\n[net]\npublic = true\n",
        "log.level='error'\nnet.public=true\n",
    ],
)
def test_a_setting_is_written_into_any_form_of_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    config.store(path, "log.keep", "5")
    config.store(path, "net.listen", ["tcp://127.0.0.1:7000"])
    loaded = config.load(path)
    assert (loaded.log.level, loaded.log.keep, loaded.net.listen) == ("error", 5, ("tcp://127.0.0.1:7000",))


@pytest.mark.parametrize(
    ("problem", "code"),
    [(errno.ENOSPC, "store.disk-full"), (errno.EDQUOT, "store.disk-full"), (errno.EIO, "store.cannot-write")],
)
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_disk_that_takes_no_change_keeps_the_old_settings_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int, code: str, moment: str
) -> None:
    path = tmp_path / "config.toml"
    config.store(path, "log.keep", 4)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(problem, os.strerror(problem))

    with monkeypatch.context() as patch:
        patch.setattr(os if moment == "fsync" else Path, moment, refuse)
        with pytest.raises(UnavailableError) as caught:
            config.store(path, "log.keep", 5)
    assert caught.value.code == code
    assert ("full" in caught.value.message) == (code == "store.disk-full")
    assert [one.name for one in tmp_path.iterdir()] == ["config.toml"]
    assert path.read_bytes() == before


def test_a_fresh_file_that_the_disk_does_not_take_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(UnavailableError):
            write_new(tmp_path / "secret", b"half")
    write_new(tmp_path / "secret", b"whole")  # an attempt that failed stands in nobody's way
    assert (tmp_path / "secret").read_bytes() == b"whole"
