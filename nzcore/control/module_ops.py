"""Operations on modules: what is there, what may run, and what it adds (spec/control.md §5.10, spec/module.md §5)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from nzcore.control.operation import Args, Nothing, Operation

ModuleName = Annotated[str, Meta(description="name of a module, as module.list shows it", min_length=1, max_length=64)]
ModuleState = Literal["found", "enabled", "running", "failed", "changed", "disabled"]
FolderPath = Annotated[str, Meta(description="absolute path of a module's folder", min_length=1, max_length=4096)]


class ModuleInfo(Struct, frozen=True, kw_only=True):
    """One module, wherever it was found."""

    name: str
    version: Annotated[str, Meta(description="empty where the manifest can't be read")]
    state: Annotated[
        ModuleState,
        Meta(description="enabled: pinned, not running now; changed: its files are not those that were pinned"),
    ]
    source: Literal["bundled", "home", "installed", "gone"]
    capabilities: list[str]
    summary: str
    problem: Annotated[str, Meta(description="what is wrong with it, or empty")] = ""


class CapabilityInfo(Struct, frozen=True, kw_only=True):
    """What a module asks for, and what that means."""

    capability: str
    meaning: str
    new: Annotated[bool, Meta(description="not among what was granted when it was last enabled")]


class ModuleDetails(ModuleInfo, frozen=True, kw_only=True):
    """Everything that an owner may want to know before allowing it to run."""

    digest: Annotated[str, Meta(description="names exactly these files; give it to module.enable")]
    path: str
    files: Annotated[int, Meta(ge=0)]
    asks: list[CapabilityInfo]
    operations: list[str]
    commands: list[str]
    services: list[str]
    requires: dict[str, str]
    difference: Annotated[str, Meta(description="how its files differ from those that were enabled")]
    enabled_at: Annotated[int | None, Meta(description="seconds since 1970")]
    facts: Annotated[dict[str, Any], Meta(description="what its service says about itself")] = {}


class ModuleArgs(Args, frozen=True, kw_only=True):
    name: ModuleName


class ModuleEnableArgs(Args, frozen=True, kw_only=True):
    name: ModuleName
    digest: (
        Annotated[str, Meta(description="of the files that were shown; others are refused", pattern="^[0-9a-f]{64}$")]
        | None
    ) = None


class ModuleRemoveArgs(Args, frozen=True, kw_only=True):
    name: ModuleName
    data: Annotated[bool, Meta(description="also what it has stored")] = False


class ModuleInstallArgs(Args, frozen=True, kw_only=True):
    path: FolderPath
    replace: Annotated[bool, Meta(description="put it in the place of one of the same name")] = False


class ModuleRemoved(Struct, frozen=True, kw_only=True):
    """What is left of it."""

    name: str
    folder_removed: bool
    data_removed: bool


class Parameter(Struct, frozen=True, kw_only=True):
    """One argument of a module's command."""

    name: str
    type: Annotated[
        Literal["text", "integer", "number", "flag", "texts", "json"],
        Meta(description="texts: several; json: anything else"),
    ]
    required: bool
    default: Any = None
    summary: str = ""
    choices: list[str] = []


class CommandInfo(Struct, frozen=True, kw_only=True):
    """One command that a running module adds."""

    module: str
    name: str
    operation: str
    summary: str
    stream: bool
    risk: str
    deadline_s: float
    parameters: list[Parameter]


class OperationText(Struct, frozen=True, kw_only=True):
    """One operation that a running module adds."""

    name: str
    described: Annotated[str, Meta(description="JSON, as `nzcore schema` shows it: it nests deeper than messages may")]


class ModuleCommands(Struct, frozen=True, kw_only=True):
    """The commands of all running modules."""

    modules: Annotated[dict[str, str], Meta(description="summaries by name, of modules that have commands")]
    commands: list[CommandInfo]


LIST = Operation(name="module.list", summary="List all modules.", args=Nothing, result=list[ModuleInfo])
SHOW = Operation(
    name="module.show",
    summary="Show one module, what it asks for and what it adds.",
    args=ModuleArgs,
    result=ModuleDetails,
    names="name",
)
ENABLE = Operation(
    name="module.enable",
    summary="Pin a module's files, grant what it asks for, and run it.",
    args=ModuleEnableArgs,
    result=ModuleDetails,
    risk="danger",
    local_only=True,
    names="name",
)
DISABLE = Operation(
    name="module.disable",
    summary="Stop a module until it is enabled again.",
    args=ModuleArgs,
    result=ModuleDetails,
    risk="change",
    local_only=True,
    names="name",
)
RELOAD = Operation(
    name="module.reload",
    summary="Load an enabled module's files anew and restart it.",
    args=ModuleArgs,
    result=ModuleDetails,
    risk="change",
    local_only=True,
    names="name",
)
REMOVE = Operation(
    name="module.remove",
    summary="Disable a module and delete its folder from the home.",
    args=ModuleRemoveArgs,
    result=ModuleRemoved,
    risk="danger",
    local_only=True,
    names="name",
)
INSTALL = Operation(
    name="module.install",
    summary="Copy a module's folder into the home, not yet enabled.",
    args=ModuleInstallArgs,
    result=ModuleDetails,
    risk="change",
    local_only=True,
)
COMMANDS = Operation(
    name="module.commands",
    summary="List the commands that running modules add.",
    args=Nothing,
    result=ModuleCommands,
)
OPERATIONS_OF_MODULES = Operation(
    name="module.operations",
    summary="Describe the operations that running modules add.",
    args=Nothing,
    result=list[OperationText],
)

MODULE_OPERATIONS = (LIST, SHOW, ENABLE, DISABLE, RELOAD, REMOVE, INSTALL, COMMANDS, OPERATIONS_OF_MODULES)
