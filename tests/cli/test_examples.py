"""The example in the help of every command is run, in the order of a node's life, on a real node."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nzcore.cli.app import nzcore_command
from nzcore.cli.frame import Command, Group
from nzcore.cli.spawn import own_environment

from .conftest import Run

LIFE = [
    *("init", "up", "state", "status", "identity show", "identity sign", "identity verify", "identity card"),
    *("seal", "unseal"),
    *("identity export", "identity import", "identity rotate", "identity request", "identity apply"),
    "identity passphrase",
    *("service list", "service show", "service stop", "service start", "service restart", "service kill"),
    *("invite", "join"),
    *("peer add", "peer list", "peer show", "peer connect", "peer ping", "peer discover"),
    *("send", "inbox", "message send", "message list", "pipe", "channel list", "channel rekey", "channel close"),
    *("topic pub", "topic sub", "call", "outbox list", "outbox retry", "outbox drop"),
    *("peer disconnect", "peer rename", "peer remove"),
    *("module new", "module list", "module show", "module install", "module enable", "module reload"),
    *("module disable", "module remove"),
    *("config list", "config get", "config set", "events", "logs", "doctor", "schema", "explain", "completion", "help"),
    *("service install", "demo", "down"),
]


def commands(group: click.Group, context: click.Context, path: str = "") -> Iterator[tuple[str, Command]]:
    """All commands that do something, by their names."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, Group):
            yield from commands(command, context, f"{path}{name} ")
        else:
            assert isinstance(command, Command)
            yield f"{path}{name}", command


def example(run: Run, name: str) -> str:
    """The example as the help shows it."""
    shown = run(*name.split(), "--help").out
    _, found, after = shown.partition("\nExample:\n")
    assert found, f"nzcore {name} has no example"
    lines = after.partition("\n\n")[0].splitlines()
    return "\n".join(line.strip() for line in lines)


def test_every_command_has_an_example_of_itself(run: Run) -> None:
    found = dict(commands(nzcore_command, click.Context(nzcore_command)))
    assert sorted(found) == sorted(LIFE)
    for name in found:
        itself = "state" if name == "status" else name
        assert any(itself in line for line in example(run, name).splitlines()), name


@pytest.mark.real
def test_every_example_works_when_it_is_typed(run: Run, tmp_path: Path, bob: str) -> None:
    tool = tmp_path / "bin" / "nzcore"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m nzcore "$@"\n')
    tool.chmod(0o755)
    (tmp_path / "passphrase.txt").write_text("correct horse\n")
    (tmp_path / "passphrase.txt").chmod(0o600)
    unmeasured = {name: value for name, value in own_environment().items() if not name.startswith("COVERAGE")}
    environment = unmeasured | {
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "NZCORE_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TMPDIR": str(tmp_path),
    }
    (tmp_path / "bob").symlink_to(bob)
    (tmp_path / "letter.txt").write_text("dear bob")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(bytes(1000))
    (tmp_path / "bob.card").write_text(run("--home", bob, "identity", "card").out)
    try:
        for name in LIFE:
            if name == "demo":  # played, as typed in its help, by test_demo.py
                continue
            if name == "identity verify":
                shown = typed("nzcore identity show --json", tmp_path, environment)
                environment["NODE"] = shown.stdout.partition('"node":"')[2].partition('"')[0]
            if name == "peer add":  # bob must know this node before it can be reached
                card = typed("nzcore identity card", tmp_path, environment).stdout.strip()
                assert run("--home", bob, "peer", "add", card, "--name", "alice").code == 0
            ended = typed(example(run, name), tmp_path, environment)
            assert ended.returncode == 0, f"{name}: {ended.stderr}"
    finally:
        typed("nzcore down", tmp_path, environment)
        run("--home", bob, "peer", "remove", "alice")


def typed(script: str, folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-e", "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=60,
        check=False,
    )
