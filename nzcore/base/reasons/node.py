"""Reasons of `nzcore.node`: homes, settings, starting and stopping."""

from nzcore.base.reasons import Reason

REASONS = {
    "no-home": Reason("there is no node here", "make one with `nzcore init`, or name its folder with --home"),
    "home-exists": Reason("there is a node here already", "choose another folder with --home"),
    "damaged-home": Reason(
        "a file of the home is missing or damaged",
        "restore the home from a copy, or make the same node again with `nzcore init --recover`",
    ),
    "unwritable": Reason("a file or folder of the home cannot be written", "check its owner, its mode and the disk"),
    "damaged-config": Reason(
        "config.toml cannot be read as settings", "mend the named place, or remove the file to return to the defaults"
    ),
    "unknown-setting": Reason("there is no such setting", "`nzcore config list` names them all"),
    "bad-setting": Reason("not a value that this setting can have", "`nzcore config list` shows the types"),
}
