"""From a call to its handler: admitted by the gate of `control`, refusals told on the bus."""

from typing import NamedTuple

from nzcore.base.errors import PeerError
from nzcore.control.gate import admit
from nzcore.control.table import OPERATIONS
from nzcore.control.verdict import Policy, Principal, authorize
from nzcore.ipc.connection import SendItem
from nzcore.node.node import Node
from nzcore.node.operations.table import HANDLERS


class Judged(NamedTuple):
    """Value of `control.refused` and `control.warned`: who asked for what, and what was said."""

    principal: str
    operation: str
    reasons: tuple[str, ...]


class Dispatcher:
    """Carries out operations, of the table and of running modules, for whoever may call them; every face calls this."""

    def __init__(self, node: Node, policy: Policy = authorize) -> None:
        self._node = node
        self._policy = policy

    def __call__(self, principal: Principal, operation: str, args: object, send_item: SendItem) -> object:
        """The result, or an awaitable of it. *Raises* PeerError `control.*`, and whatever the handler raises."""
        try:
            module = None if operation in OPERATIONS else self._node.modules.table.get(operation)
            known = OPERATIONS if module is None else {operation: module[0].operation}
            admission = admit(principal, operation, args, policy=self._policy, operations=known)
        except PeerError as error:
            if error.code == "control.refused":
                self._node.bus.emit("control.refused", Judged(str(principal), operation, (error.message,)))
            raise
        if admission.verdict.decision == "WARN":
            self._node.bus.emit("control.warned", Judged(str(principal), operation, admission.verdict.reasons))
        if module is not None:
            declared, service = module
            return service.call(declared, principal, admission.args, send_item)
        return HANDLERS[admission.operation.name](self._node, admission.args, send_item)
