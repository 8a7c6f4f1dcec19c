"""A process that dies at a chosen call to the disk, played in this one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


class Killed(BaseException):
    """The process ends here."""


def kill_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """Lets the disk's call number `moment` be the last thing that happens, before it or, for odd moments, after it."""
    calls = 0

    def mortal(original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls > moment // 2 + 1:
                raise Killed
            if calls == moment // 2 + 1 and moment % 2 == 0:
                raise Killed
            done = original(*args, **options)
            if calls == moment // 2 + 1:
                raise Killed
            return done

        return call

    monkeypatch.setattr(os, "fsync", mortal(os.fsync))
    monkeypatch.setattr(Path, "replace", mortal(Path.replace))
    monkeypatch.setattr(Path, "unlink", mortal(Path.unlink))
    return lambda: calls
