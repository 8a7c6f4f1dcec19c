"""Every handler by the name of its operation. A test holds it to the table of operations."""

from nzcore.node.operations import (
    channel_handlers,
    config_handlers,
    discovery_handlers,
    envelope_handlers,
    fabric_handlers,
    file_handlers,
    identity_handlers,
    module_handlers,
    node_handlers,
    pair_handlers,
    peer_handlers,
    service_handlers,
)
from nzcore.node.operations.handler import Handler

HANDLERS: dict[str, Handler] = {
    **node_handlers.HANDLERS,
    **service_handlers.HANDLERS,
    **identity_handlers.HANDLERS,
    **config_handlers.HANDLERS,
    **peer_handlers.HANDLERS,
    **discovery_handlers.HANDLERS,
    **channel_handlers.HANDLERS,
    **file_handlers.HANDLERS,
    **fabric_handlers.HANDLERS,
    **envelope_handlers.HANDLERS,
    **module_handlers.HANDLERS,
    **pair_handlers.HANDLERS,
}
