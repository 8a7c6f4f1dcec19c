"""The table: every operation of a node by its name. What is not here cannot be asked."""

from nzcore.control.channel_ops import CHANNEL_OPERATIONS
from nzcore.control.config_ops import CONFIG_OPERATIONS
from nzcore.control.discovery_ops import DISCOVERY_OPERATIONS
from nzcore.control.envelope_ops import ENVELOPE_OPERATIONS
from nzcore.control.fabric_ops import FABRIC_OPERATIONS
from nzcore.control.file_ops import FILE_OPERATIONS
from nzcore.control.identity_ops import IDENTITY_OPERATIONS
from nzcore.control.module_ops import MODULE_OPERATIONS
from nzcore.control.node_ops import NODE_OPERATIONS
from nzcore.control.operation import AnyOperation
from nzcore.control.pair_ops import PAIR_OPERATIONS
from nzcore.control.peer_ops import PEER_OPERATIONS
from nzcore.control.service_ops import SERVICE_OPERATIONS

OPERATIONS: dict[str, AnyOperation] = {
    operation.name: operation
    for operation in (
        *NODE_OPERATIONS,
        *SERVICE_OPERATIONS,
        *IDENTITY_OPERATIONS,
        *CONFIG_OPERATIONS,
        *PEER_OPERATIONS,
        *DISCOVERY_OPERATIONS,
        *CHANNEL_OPERATIONS,
        *ENVELOPE_OPERATIONS,
        *FILE_OPERATIONS,
        *PAIR_OPERATIONS,
        *MODULE_OPERATIONS,
        *FABRIC_OPERATIONS,
    )
}
