"""Reasons of `nzcore.node`: homes, settings, starting and stopping."""

from nzcore.base.reasons import Reason

REASONS = {
    "no-home": Reason("there is no node here", "make one with `nzcore init`, or name its folder with --home"),
    "home-exists": Reason("there is a node here already", "choose another folder with --home"),
    "closed-home": Reason(
        "a folder on the way to the home lets you not look into it",
        "call nzcore as the user whose node it is, or name a folder of your own with --home",
    ),
    "damaged-home": Reason(
        "a file of the home is missing or damaged",
        "restore the home from a copy, or make the same node again with `nzcore init --recover`",
    ),
    "missing-store": Reason(
        "the node's store is gone",
        "restore store.db from a copy of the home; or begin with an empty one: nzcore up --empty-store",
    ),
    "store-exists": Reason(
        "there is a store already, and it is not replaced by an empty one", "leave --empty-store out"
    ),
    "unwritable": Reason("a file or folder of the home cannot be written", "check its owner, its mode and the disk"),
    "damaged-config": Reason(
        "config.toml cannot be read as settings", "mend the named place, or remove the file to return to the defaults"
    ),
    "unknown-setting": Reason("there is no such setting", "`nzcore config list` names them all"),
    "bad-setting": Reason("not a value that this setting can have", "`nzcore config list` shows the types"),
    "damaged-vault": Reason(
        "the vault opens but holds no usable keys",
        "restore the home from a copy, or make the same node again with `nzcore init --recover`",
    ),
    "bad-export": Reason("not the keys of an exported node", "export the node again where it runs"),
    "passphrase-needed": Reason(
        "the vault of this home is sealed under a passphrase", "type it in a terminal, or give --passphrase-file"
    ),
    "no-request": Reason("no rotation was asked for here", "make a request first with `nzcore identity request`"),
    "service-down": Reason(
        "a service that this needs is not running", "`nzcore service list` shows it; `nzcore service start` starts it"
    ),
    "not-up": Reason("the node's services do not run", "start the node with `nzcore up -d`"),
    "not-ready": Reason("the node could not start", "`nzcore doctor` examines the home"),
    "needs-running": Reason("this needs a running node", "start it with `nzcore up -d`"),
    "essential-service": Reason("the node does not work without this service", "add --force if you mean it"),
    "only-door": Reason(
        "without this service no command reaches the node, not even the one that starts it again",
        "`nzcore down` stops the whole node",
    ),
    "damaged-secret": Reason(
        "network.secret does not hold a network's secret",
        "it is one line of 64 hexadecimal digits, the same on all nodes of a network; without the file, none is needed",
    ),
    "public-address": Reason(
        "the internet reaches this address", "say --public, or set net.public, if the node shall be reached from there"
    ),
    "petname-taken": Reason("another peer has this name", "choose another name"),
    "unknown-peer": Reason("no peer is called that", "`nzcore peer list` names them; `nzcore peer add` adds one"),
    "ambiguous-peer": Reason("several peers could be meant", "give more of the name"),
    "too-many-peers": Reason("as many peers are known as may be", "remove some with `nzcore peer remove`"),
    "own-card": Reason("this card is the node's own", "give it to the other node, and add the other node's card here"),
    "no-trust": Reason("this node does not trust the peer to connect", "add it again with `nzcore peer add`"),
}
