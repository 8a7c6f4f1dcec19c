"""The services that face peers: in a process and in a simulated world the same ones, in the same order."""

from nzcore.kernel import Service
from nzcore.node.dispatch import Dispatcher
from nzcore.node.fabric.fabric import FabricService
from nzcore.node.files.service import FilesService
from nzcore.node.messages import MessagesService
from nzcore.node.modules.service import ModulesService
from nzcore.node.network import NetService
from nzcore.node.node import Node
from nzcore.node.pairing import PairingService
from nzcore.node.tubes import PipesService


def peer_services(node: Node, net: NetService) -> list[Service]:
    """All of them, `net` among them; the store that they stand on is the caller's to add."""
    dispatch = Dispatcher(node)
    return [
        PairingService(node.pairing, node.bus),
        net,
        FilesService(node.files),
        MessagesService(node.messages),
        PipesService(node.pipes),
        FabricService(node.fabric, dispatch, node.trust),
        ModulesService(node.modules, dispatch),
    ]
