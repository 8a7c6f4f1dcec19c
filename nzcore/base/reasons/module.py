"""Reasons of `nzcore.node.modules`: manifests, folders, pins, grants, and what modules do to themselves."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-manifest": Reason("module.toml is not a manifest", "mend the line that is named"),
    "no-manifest": Reason("there is no module here", "a module's folder has a file module.toml"),
    "bad-folder": Reason("the module's folder holds what a module may not have", "take out the file that is named"),
    "unreadable": Reason("a file of the module cannot be read", "check its owner and its mode"),
    "unknown": Reason("there is no such module", "`nzcore module list` names them; `nzcore module install` adds one"),
    "changed": Reason(
        "the module's files are not those that were enabled",
        "look at what changed, then `nzcore module enable` it again",
    ),
    "not-shown": Reason(
        "the module changed after it was shown", "look at it again with `nzcore module show`, then enable it"
    ),
    "not-enabled": Reason("the module is not enabled", "enable it with `nzcore module enable`"),
    "held": Reason(
        "the node runs without modules", "`nzcore down`, then `nzcore up -d` without --no-modules; then try again"
    ),
    "requires": Reason("the module needs another one", "enable that one first"),
    "required": Reason("other modules need this one", "disable those first"),
    "exists": Reason("there is a module of this name already", "say --replace to put this one in its place"),
    "not-removable": Reason(
        "the module is not in the home", "`nzcore module disable` stops it; its package's manager removes it"
    ),
    "bad-entry": Reason("the manifest's entry names no module class", "name it as FILE:CLASS, a subclass of Module"),
    "load-failed": Reason("the module's code failed while it was loaded", "mend the code; `nzcore logs` shows where"),
    "load-hung": Reason("the module's code did not end while it was loaded", "let it do its work in `start`"),
    "not-granted": Reason("the module was not granted what it uses", "add the line that is named to module.toml"),
    "not-provided": Reason(
        "the manifest and the code differ on what the module provides", "amend provides in module.toml"
    ),
    "bad-signature": Reason(
        "an operation's parameters or result have types that no message can hold",
        "annotate each with text, numbers, bytes, lists, maps, dataclasses or Structs of them",
    ),
    "bad-handler": Reason("a decorated method has another shape than its decorator needs", "see modules/README.md"),
    "raised": Reason("the module's code failed", "`nzcore logs` shows where; its author can mend it"),
    "hung": Reason("the module did not answer in time", "`nzcore module reload` starts it anew"),
    "busy": Reason("the module has as many calls at once as it may have", "try again in a moment"),
    "stopped": Reason("the module was stopped meanwhile", "`nzcore module list` shows its state"),
    "stuck": Reason("the module does not end", "`nzcore down` and `nzcore up -d`; its author can mend it"),
    "refused": Reason("the module refused", "see what it says"),
    "bad-name": Reason("not a name for a module", "use small letters, digits and hyphens, beginning with a letter"),
}
