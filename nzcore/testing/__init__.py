"""What tests of nzcore and of its modules stand on: whole networks in memory, virtual time, checks to conform to.

For tests of modules: `from nzcore.testing import two_nodes, pair_with, run_module, ask, World, WorldNode`. They are
loaded when they are asked for, so that a check of one transport does not load a whole node.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nzcore.testing.modules import Pair, ask, pair_with, run_module, two_nodes
    from nzcore.testing.world import World, WorldNode

__all__ = ["Pair", "World", "WorldNode", "ask", "pair_with", "run_module", "two_nodes"]

_PLACES = {"World": "world", "WorldNode": "world"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'modules')}"), name)
