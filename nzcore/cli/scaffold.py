"""What `nzcore module new NAME` writes: a module that works, with a test on two nodes. Needs no node."""

import os
from pathlib import Path
from typing import Any

from nzcore.base.errors import UnavailableError
from nzcore.cli.errors import CommandLineError

_MANIFEST = """\
name = "@NAME@"
version = "0.1.0"
api = "0"
summary = "Counts how often it was greeted."
entry = "@FILE@:@CLASS@"
capabilities = ["kv:counts", "fabric:@NAME@.greet"]

[provides]
operations = ["greet", "count"]
commands = ["greet", "count"]
"""

_CODE = '''\
"""@CLASS@: counts how often it was greeted, by this node and by its peers."""

from nzcore.module import Module, Scope, command, operation


class @CLASS@(Module):
    """Keeps one number, which survives restarts."""

    @command
    @operation(scope=Scope.MESSAGE, risk="change")
    async def greet(self, name: str = "world") -> str:
        """Greet somebody, and count it."""
        counts = self.context.kv("counts")
        entry = await counts.get("greetings")
        seen = int(entry.value) + 1 if entry else 1
        await counts.put("greetings", str(seen).encode(), expect=entry.version if entry else 0)
        return f"hello, {name}"

    @command
    @operation
    async def count(self) -> int:
        """Say how often it was greeted."""
        entry = await self.context.kv("counts").get("greetings")
        return int(entry.value) if entry else 0
'''

_TEST = '''\
"""Two nodes in one process, in virtual time: run it with `python -m pytest`."""

from pathlib import Path

from nzcore.testing import WorldNode, ask, two_nodes

FOLDER = Path(__file__).parent


def test_a_peer_is_greeted_and_counted() -> None:
    async def check(alice: WorldNode, bob: WorldNode) -> None:
        assert await ask(alice, bob, "@NAME@.greet", name="alice") == "hello, alice"
        assert await bob.call("@NAME@.count") == 1
        assert await alice.call("@NAME@.count") == 0

    two_nodes(FOLDER, check)
'''

_README = """\
# @NAME@

A module for nzcore. `module.toml` says what it is called, asks for and adds; `@FILE@.py` is what it does.

    python -m pytest                  its test, on two nodes in one process (needs pytest: pip install pytest)
    nzcore module install .           copy it into your node's home
    nzcore module enable @NAME@       look at what it asks for, and let it run
    nzcore @NAME@ greet --name you

After a change: install it with --replace, then enable it again.
"""


def write_module(parent: Path, name: str) -> dict[str, Any]:
    """Writes `parent/name`; its path, its files, and what to do next.

    *Raises* CommandLineError `cli.bad-module-name`; UnavailableError `cli.file-exists`, `cli.unwritable`.
    """
    from nzcore.node.modules.manifest import is_name

    if not is_name(name):
        raise CommandLineError("cli.bad-module-name", f"{name[:64]!r} is no name for a module")
    file = name.replace("-", "_")
    words = {"@NAME@": name, "@FILE@": file, "@CLASS@": "".join(word.capitalize() for word in name.split("-"))}
    files = {"module.toml": _MANIFEST, f"{file}.py": _CODE, f"test_{file}.py": _TEST, "README.md": _README}
    folder = parent / name
    try:
        folder.mkdir()
        for path, text in files.items():
            (folder / path).write_text(_filled(text, words), encoding="utf-8")
    except FileExistsError:
        raise UnavailableError("cli.file-exists", f"{folder} is already there") from None
    except OSError as error:
        raise UnavailableError("cli.unwritable", f"cannot write {folder}: {error.strerror}") from None
    return {
        "name": name,
        "path": str(folder),
        "files": sorted(files),
        "next": [
            f"python -m pytest {name}",
            f"nzcore module install .{os.sep}{name}",
            f"nzcore module enable {name}",
            f"nzcore {name} greet --name you",
        ],
    }


def _filled(text: str, words: dict[str, str]) -> str:
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text
