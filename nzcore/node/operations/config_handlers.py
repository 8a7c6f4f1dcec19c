"""Handlers of the operations on settings. What is set counts from the node's next start."""

from nzcore.control import config_ops
from nzcore.control.config_ops import ConfigGetArgs, ConfigSetArgs, Setting
from nzcore.control.operation import Nothing
from nzcore.ipc.connection import SendItem
from nzcore.node import config
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler


def list_settings(node: Node, args: Nothing, send: SendItem) -> list[Setting]:
    return config.settings(config.load(node.home.config))


def get(node: Node, args: ConfigGetArgs, send: SendItem) -> Setting:
    return config.find(config.load(node.home.config), args.name)


def set_setting(node: Node, args: ConfigSetArgs, send: SendItem) -> Setting:
    setting = config.find(config.store(node.home.config, args.name, args.value), args.name)
    node.bus.emit("config.changed", setting.name)
    return setting


HANDLERS: dict[str, Handler] = {
    config_ops.LIST.name: list_settings,
    config_ops.GET.name: get,
    config_ops.SET.name: set_setting,
}
