"""What a module's class declares, read once when it is loaded: operations with their types, handlers, services.

Everything that can be refused before the module runs is refused here: what was not granted, what the manifest does not
provide, parameters that no message can hold (spec/module.md §6).
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

from nzcore.base.errors import NzError, UsageError
from nzcore.base.scopes import Scope
from nzcore.codec.types import schema
from nzcore.control.operation import AnyOperation, Args, Operation
from nzcore.module import (
    Caller,
    CommandMark,
    DeliveredMark,
    EventMark,
    Mark,
    Module,
    OperationMark,
    ProtocolMark,
    ReceivedMark,
    ServiceMark,
    marks_of,
)
from nzcore.node.modules.manifest import Manifest

SUMMARY_CHARACTERS = 120
PARAMETERS = 32
DEADLINE_S = 3600.0

_OF_EVERY_COMMAND = frozenset({"help", "home", "json", "timeout"})
_STREAMS = (AsyncIterator, AsyncGenerator, AsyncIterable)
M = TypeVar("M")


class DeclaredOperation(NamedTuple):
    """One operation of a module: as `control` knows it, and how its method wants to be called."""

    operation: AnyOperation
    method: str
    caller: str
    """Name of the parameter that is told who calls; empty where none is."""
    scope: Scope | None
    """What peers need; None where it is not open to them."""
    deadline_s: float
    command: bool


class Declared(NamedTuple):
    """Everything that one module class adds to the node, by the names of its methods."""

    operations: tuple[DeclaredOperation, ...]
    events: tuple[tuple[str, EventMark], ...]
    received: tuple[tuple[str, ReceivedMark], ...]
    delivered: tuple[tuple[str, DeliveredMark], ...]
    protocols: tuple[tuple[str, ProtocolMark], ...]
    services: tuple[str, ...]


def declared_by(kind: type[Module], manifest: Manifest) -> Declared:
    """Reads and judges `kind`.

    *Raises* UsageError `module.not-granted`, `module.not-provided`, `module.bad-signature`, `module.bad-handler`.
    """
    marked = _marked_members(kind)
    commands = {name for name, marks in marked.items() if _one(marks, CommandMark) is not None}
    operations = tuple(
        _operation(kind, manifest, name, mark, name in commands)
        for name, marks in marked.items()
        if (mark := _one(marks, OperationMark)) is not None
    )
    declared = Declared(
        operations=operations,
        events=_of(marked, EventMark),
        received=_of(marked, ReceivedMark),
        delivered=_of(marked, DeliveredMark),
        protocols=_of(marked, ProtocolMark),
        services=tuple(name for name, _ in _of(marked, ServiceMark)),
    )
    if stray := commands - {one.method for one in operations}:
        raise UsageError("module.bad-handler", f"{min(stray)} is a @command without being an @operation")
    _check_shapes(kind, declared)
    _check_grants(manifest, declared)
    _check_provides(manifest, declared, commands)
    return declared


def _marked_members(kind: type[Module]) -> Mapping[str, tuple[Mark, ...]]:
    """The marked methods of a module class by name, in order of definition, base classes first."""
    found: dict[str, tuple[Mark, ...]] = {}
    for base in reversed(kind.__mro__):
        for name, value in vars(base).items():
            if marks := marks_of(value):
                found[name] = marks
    return found


def _one(marks: tuple[Mark, ...], kind: type[M]) -> M | None:
    return next((mark for mark in marks if isinstance(mark, kind)), None)


def _of(marked: Mapping[str, tuple[Mark, ...]], kind: type[M]) -> tuple[tuple[str, M], ...]:
    return tuple((name, mark) for name, marks in marked.items() for mark in marks if isinstance(mark, kind))


# Operations.


def _operation(
    kind: type[Module], manifest: Manifest, name: str, mark: OperationMark, command: bool
) -> DeclaredOperation:
    function = getattr(kind, name)
    full = f"{manifest.name}.{name}"
    if mark.risk not in ("read", "change", "danger") or mark.scope not in (None, *Scope):
        raise UsageError("module.bad-handler", f"{full}: there is no such risk, or no such scope")
    if not 0 < mark.deadline_s <= DEADLINE_S:
        raise UsageError("module.bad-handler", f"{full}: the deadline is not within {DEADLINE_S:g} s")
    hints = _hints(function, full)
    args, caller = _args(function, hints, name, full)
    if command and (taken := _OF_EVERY_COMMAND.intersection(args.__struct_fields__)):
        raise UsageError("module.bad-signature", f"{full}: every command has an option --{min(taken)} of its own")
    result, stream = _result(function, hints, full)
    operation = Operation(
        name=full,
        summary=_summary(mark.summary or inspect.getdoc(function) or "", full),
        args=args,
        result=result,
        stream=stream,
        scope=mark.scope or Scope.ADMIN,
        risk=mark.risk,
    )
    return DeclaredOperation(operation, name, caller, mark.scope, mark.deadline_s, command)


def _hints(function: Callable[..., Any], full: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:  # evaluating annotations runs the module's code
        raise UsageError("module.bad-signature", f"{full}: its annotations failed: {error}"[:300]) from None


def _args(function: Callable[..., Any], hints: dict[str, Any], name: str, full: str) -> tuple[type[Args], str]:
    """The operation's arguments as a type, and the parameter that is told the caller."""
    fields: list[Any] = []
    caller = ""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    if len(parameters) > PARAMETERS:
        raise UsageError("module.bad-signature", f"{full} has more than {PARAMETERS} parameters")
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UsageError("module.bad-signature", f"{full}: {parameter} can't be named by a caller")
        if parameter.name not in hints:
            raise UsageError("module.bad-signature", f"{full}: the parameter {parameter.name} has no type")
        if hints[parameter.name] is Caller:
            caller = parameter.name
        elif parameter.default is parameter.empty:
            fields.append((parameter.name, hints[parameter.name]))
        else:
            fields.append((parameter.name, hints[parameter.name], parameter.default))
    title = "".join(word.capitalize() for word in name.split("_")) + "Args"
    try:
        shape = msgspec.defstruct(
            title,
            fields,
            bases=(Args,),
            frozen=True,
            kw_only=True,
            forbid_unknown_fields=True,
            module=function.__module__,
        )
        schema(shape)
    except (TypeError, ValueError, NameError, NzError) as error:
        raise UsageError("module.bad-signature", f"{full}: {_first_line(error)}") from None
    return cast(type[Args], shape), caller


def _result(function: Callable[..., Any], hints: dict[str, Any], full: str) -> tuple[Any, bool]:
    """The type of the result, or of each item where it is a stream."""
    result = hints.get("return")
    stream = inspect.isasyncgenfunction(function)
    if not stream and not inspect.iscoroutinefunction(function):
        raise UsageError("module.bad-handler", f"{full} is not an async method")
    if stream:
        if get_origin(result) not in _STREAMS:
            raise UsageError("module.bad-signature", f"{full} yields, so it must return AsyncIterator[…]")
        result = get_args(result)[0]
    elif "return" not in hints:
        raise UsageError("module.bad-signature", f"{full} does not say what it returns")
    try:
        schema(result)
    except (TypeError, ValueError, NameError, NzError) as error:
        raise UsageError("module.bad-signature", f"{full}: {_first_line(error)}") from None
    return result, stream


def _summary(text: str, full: str) -> str:
    line = text.strip().partition("\n")[0].strip()
    if not line or len(line) > SUMMARY_CHARACTERS or not line.isprintable():
        raise UsageError("module.bad-handler", f"{full} needs a docstring whose first line says what it does")
    return line if line.endswith(".") else f"{line}."


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text[:200] or type(error).__name__


# Everything else.


def _check_shapes(kind: type[Module], declared: Declared) -> None:
    """Handlers take one argument, services none; all are coroutine functions."""
    wanted: list[tuple[str, int, str]] = [(name, 0, "@service") for name in declared.services]
    for decorator, rows in (
        ("@on", declared.events),
        ("@received", declared.received),
        ("@delivered", declared.delivered),
        ("@protocol", declared.protocols),
    ):
        wanted += [(name, 1, decorator) for name, _ in rows]
    for name, count, decorator in wanted:
        function = getattr(kind, name)
        if not inspect.iscoroutinefunction(function):
            raise UsageError("module.bad-handler", f"{name} is marked {decorator} and not an async method")
        try:
            inspect.signature(function).bind(*([None] * (count + 1)))
        except TypeError:
            says = "no argument" if count == 0 else "one argument"
            raise UsageError("module.bad-handler", f"{name} is marked {decorator}, so it takes {says}") from None
    for name, event in declared.events:
        if event.overflow not in ("drop_oldest", "block") or not 0 < event.capacity <= 1 << 16:
            raise UsageError("module.bad-handler", f"{name}: capacity or overflow is out of bounds")


def _check_grants(manifest: Manifest, declared: Declared) -> None:
    grants = manifest.grants
    for _, event in declared.events:
        grants.require("bus:subscribe", event.pattern)
    for _, received in declared.received:
        grants.require("fabric", received.pattern)
    for _, delivered in declared.delivered:
        grants.require("fabric", delivered.topic)
    for _, protocol in declared.protocols:
        grants.require("stream", protocol.name)
    for one in declared.operations:
        if one.scope is not None:
            grants.require("fabric", one.operation.name)


def _check_provides(manifest: Manifest, declared: Declared, commands: set[str]) -> None:
    kinds: tuple[tuple[Literal["operations", "commands", "services"], set[str]], ...] = (
        ("operations", {one.method for one in declared.operations}),
        ("commands", commands),
        ("services", set(declared.services)),
    )
    for kind, names in kinds:
        told = set(getattr(manifest.provides, kind))
        if missing := sorted(names - told):
            raise UsageError("module.not-provided", f'add to module.toml, provides, {kind}: "{missing[0]}"')
        if extra := sorted(told - names):
            raise UsageError("module.not-provided", f"{kind}: there is no {extra[0]} in the code")
