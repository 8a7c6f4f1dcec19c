"""What the tests of modules share: folders with a module in them, and a node that finds them."""

from pathlib import Path

import pytest

from nzcore.testing.world import World, WorldNode

HEAD = "from nzcore.module import *\nfrom nzcore.module import Module\nimport trio\n\n\n"


def write(folder: Path, code: str, *, entry: str = "code:Main", **manifest: object) -> Path:
    """A folder named after its module; `manifest` replaces or adds top-level lines, `tables` follows them."""
    tables = str(manifest.pop("tables", ""))
    lines = {"name": folder.name, "version": "1.0.0", "api": "0", "entry": entry, **manifest}
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in lines.items()) + tables
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "module.toml").write_text(text)
    (folder / "code.py").write_text(HEAD + code)
    return folder


def _toml(value: object) -> str:
    return "[" + ", ".join(map(_toml, value)) + "]" if isinstance(value, list) else f'"{value}"'


def provides(*operations: str, commands: tuple[str, ...] = (), services: tuple[str, ...] = ()) -> str:
    """The table of that name."""
    rows = {"operations": operations, "commands": commands, "services": services}
    return "[provides]\n" + "".join(f"{key} = {_toml(list(value))}\n" for key, value in rows.items())


ECHO = """
class Main(Module):
    @operation
    async def echo(self, text: str) -> str:
        "Say it again."
        return text
"""


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    return tmp_path / "homes"


@pytest.fixture
async def world(homes: Path):
    """Empty. Tests name `autojump_clock` themselves: pytest-trio looks for it nowhere else."""
    async with World(5, homes=homes) as world:
        yield world


@pytest.fixture
async def node(world: World) -> WorldNode:
    """A node of its own, whose folder for modules is `drop`."""
    return await world.add("alice")


@pytest.fixture
def drop(node: WorldNode) -> Path:
    return node.node.home.modules


async def state(node: WorldNode, name: str) -> str:
    return next(one["state"] for one in await node.call("module.list") if one["name"] == name)
