"""Modules as a service of the node: starts those that are enabled; each then is a service of its own."""

from collections.abc import Mapping

import trio

from nzcore.ipc.connection import Dispatch
from nzcore.kernel import Service
from nzcore.node.modules.registry import SERVICE, Modules


class ModulesService(Service):
    """Begins once the network runs. Modules require it, so they stop before it and start behind it."""

    name = SERVICE
    summary = "finds, pins and starts modules"
    requires = ("net",)
    start_timeout_s = 120.0  # every enabled module's code is executed meanwhile

    def __init__(self, modules: Modules, dispatch: Dispatch) -> None:
        """`dispatch` carries out operations of the node for modules, within their grants."""
        modules.dispatch = dispatch
        self._modules = modules

    async def start(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._modules.begin()
        task_status.started()
        await trio.sleep_forever()

    def status(self) -> Mapping[str, object]:
        return {"running": sorted(self._modules.running), "operations": len(self._modules.table)}
