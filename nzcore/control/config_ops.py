"""Operations on the settings of a home (spec/control.md §5.4)."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from nzcore.control.operation import Args, Nothing, Operation

SettingValue: TypeAlias = bool | int | float | str | list[str] | None
SettingName = Annotated[str, Meta(description="dotted name, as config.list shows it", min_length=1, max_length=128)]


class Setting(Struct, frozen=True, kw_only=True):
    """One setting, what it is and what it means."""

    name: str
    value: SettingValue
    default: SettingValue
    type: Annotated[str, Meta(description="what values it takes, in words")]
    summary: str
    applies: Annotated[Literal["now", "restart"], Meta(description="when a change takes effect")] = "restart"


class ConfigGetArgs(Args, frozen=True, kw_only=True):
    name: SettingName


class ConfigSetArgs(Args, frozen=True, kw_only=True):
    name: SettingName
    value: Annotated[SettingValue, Meta(description="text is read as the setting's type; null restores the default")]


LIST = Operation(name="config.list", summary="List all settings.", args=Nothing, result=list[Setting], offline=True)
GET = Operation(
    name="config.get", summary="Show one setting.", args=ConfigGetArgs, result=Setting, offline=True, names="name"
)
SET = Operation(
    name="config.set",
    summary="Change one setting in config.toml.",
    args=ConfigSetArgs,
    result=Setting,
    risk="change",
    local_only=True,
    offline=True,
    names="name",
)

CONFIG_OPERATIONS = (LIST, GET, SET)
