"""Handlers of the operations on modules."""

from pathlib import Path
from typing import get_args, get_origin

import msgspec

from nzcore.base.errors import UsageError
from nzcore.codec.types import builtins, json_line
from nzcore.control import module_ops
from nzcore.control.module_ops import (
    CommandInfo,
    ModuleArgs,
    ModuleCommands,
    ModuleDetails,
    ModuleEnableArgs,
    ModuleInfo,
    ModuleInstallArgs,
    ModuleRemoveArgs,
    ModuleRemoved,
    OperationText,
    Parameter,
)
from nzcore.control.operation import Nothing
from nzcore.ipc.connection import SendItem
from nzcore.node.modules.declared import DeclaredOperation
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler

_TYPES: dict[object, str] = {str: "text", int: "integer", float: "number", bool: "flag"}
_TEXTS = frozenset({list[str], tuple[str, ...]})


async def list_modules(node: Node, args: Nothing, send: SendItem) -> list[ModuleInfo]:
    return await node.modules.all()


async def show(node: Node, args: ModuleArgs, send: SendItem) -> ModuleDetails:
    return await node.modules.show(args.name)


async def enable(node: Node, args: ModuleEnableArgs, send: SendItem) -> ModuleDetails:
    shown = await node.modules.enable(args.name, args.digest)
    node.bus.emit("module.enabled", args.name)
    return shown


async def disable(node: Node, args: ModuleArgs, send: SendItem) -> ModuleDetails:
    shown = await node.modules.disable(args.name)
    node.bus.emit("module.disabled", args.name)
    return shown


async def reload(node: Node, args: ModuleArgs, send: SendItem) -> ModuleDetails:
    return await node.modules.reload(args.name)


async def remove(node: Node, args: ModuleRemoveArgs, send: SendItem) -> ModuleRemoved:
    removed = await node.modules.remove(args.name, data=args.data)
    node.bus.emit("module.removed", args.name)
    return removed


async def install(node: Node, args: ModuleInstallArgs, send: SendItem) -> ModuleDetails:
    path = Path(args.path)
    if not path.is_absolute():
        raise UsageError("module.no-manifest", f"{args.path[:200]} is not an absolute path")
    return await node.modules.install(path, replace=args.replace)


def commands(node: Node, args: Nothing, send: SendItem) -> ModuleCommands:
    entries = [one for one in node.modules.table.all() if one.command]
    names = {one.operation.name.partition(".")[0] for one in entries}
    running = node.modules.running
    return ModuleCommands(
        modules={name: running[name].summary for name in sorted(names) if name in running},
        commands=[_command(one) for one in entries],
    )


def operations(node: Node, args: Nothing, send: SendItem) -> list[OperationText]:
    from nzcore.control.schema import describe

    return [
        OperationText(name=one.operation.name, described=json_line(describe(one.operation)).decode())
        for one in node.modules.table.all()
    ]


def _command(one: DeclaredOperation) -> CommandInfo:
    module, _, name = one.operation.name.partition(".")
    return CommandInfo(
        module=module,
        name=name.replace("_", "-"),
        operation=one.operation.name,
        summary=one.operation.summary,
        stream=one.operation.stream,
        risk=one.operation.risk,
        deadline_s=one.deadline_s,
        parameters=[_parameter(field) for field in msgspec.structs.fields(one.operation.args)],
    )


def _parameter(field: msgspec.structs.FieldInfo) -> Parameter:
    """One field of the arguments, as far as a command line can say it."""
    type_, summary = field.type, ""
    for meta in getattr(type_, "__metadata__", ()):
        summary = getattr(meta, "description", None) or summary
    if hasattr(type_, "__metadata__"):
        type_ = get_args(type_)[0]
    inner = [one for one in get_args(type_) if one is not type(None)]
    if type(None) in get_args(type_) and len(inner) == 1:
        (type_,) = inner
    choices = [str(one) for one in get_args(type_)] if str(get_origin(type_)).endswith("Literal") else []
    kind = "text" if choices else "texts" if type_ in _TEXTS else _TYPES.get(type_, "json")
    return Parameter(
        name=field.name,
        type=kind,  # type: ignore[arg-type]  # the literals of Parameter.type
        required=field.required,
        default=_default(field),
        summary=summary,
        choices=choices,
    )


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return builtins(field.default_factory())
    return None if field.default is msgspec.NODEFAULT else builtins(field.default)


HANDLERS: dict[str, Handler] = {
    module_ops.LIST.name: list_modules,
    module_ops.SHOW.name: show,
    module_ops.ENABLE.name: enable,
    module_ops.DISABLE.name: disable,
    module_ops.RELOAD.name: reload,
    module_ops.REMOVE.name: remove,
    module_ops.INSTALL.name: install,
    module_ops.COMMANDS.name: commands,
    module_ops.OPERATIONS_OF_MODULES.name: operations,
}
