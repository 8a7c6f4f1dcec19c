"""The table of operations: complete, typed, described, and quick to import."""

import json
import subprocess
import sys

import msgspec
import pytest

from nzcore.codec.types import builtins, convert
from nzcore.control import identity_ops, node_ops
from nzcore.control.operation import AnyOperation, Args
from nzcore.control.schema import describe, describe_all
from nzcore.control.table import OPERATIONS

EVERY = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)

DECLARED = {
    "node": {"state", "watch", "events", "doctor", "stop"},
    "service": {"list", "show", "start", "stop", "restart", "kill"},
    "identity": {"show", "sign", "rotate", "request", "apply", "export", "passphrase", "card"},
    "config": {"list", "get", "set"},
    "peer": {
        *("list", "show", "add", "rename", "remove"),
        *("connect", "disconnect", "ping", "doctor", "certificate", "discover", "sightings"),
    },
    "channel": {"list", "rekey", "close"},
    "file": {"send", "inbox"},
    "message": {"send", "list"},
    "pipe": {"open"},
    "tube": {"write", "end"},
    "topic": {"pub", "sub"},
    "fabric": {"call"},
    "outbox": {"list", "retry", "drop"},
    "envelope": {"sign", "open", "sender"},
    "module": {"list", "show", "enable", "disable", "reload", "remove", "install", "commands", "operations"},
    "pair": {"invite", "wait", "list", "cancel", "join", "phrase", "confirm"},
}
LOCAL = {
    *("identity.sign", "identity.rotate", "identity.request", "identity.apply", "identity.export"),
    "identity.passphrase",
    *("peer.add", "peer.rename", "peer.remove"),
    *("module.enable", "module.disable", "module.reload", "module.remove", "module.install"),
    "fabric.call",
    *("file.send", "file.inbox", "pipe.open", "tube.write", "tube.end"),
}


def test_the_table_holds_exactly_the_declared_operations() -> None:
    assert set(OPERATIONS) == {f"{room}.{verb}" for room, verbs in DECLARED.items() for verb in verbs}


@EVERY
def test_each_operation_says_what_it_does_in_one_sentence(operation: AnyOperation) -> None:
    assert operation.summary[0].isupper()
    assert operation.summary.endswith(".")
    assert len(operation.summary) <= 72


@EVERY
def test_arguments_refuse_fields_that_they_do_not_have(operation: AnyOperation) -> None:
    assert issubclass(operation.args, Args)
    shape = msgspec.json.schema(operation.args)["$defs"][operation.args.__name__]
    assert shape["additionalProperties"] is False


@EVERY
def test_the_argument_that_names_the_resource_exists(operation: AnyOperation) -> None:
    assert operation.names in {"", *operation.args.__struct_fields__}


@EVERY
def test_each_result_has_a_schema_that_is_json(operation: AnyOperation) -> None:
    assert json.loads(json.dumps(describe(operation)))["result"]


def test_what_takes_a_secret_or_the_vault_or_changes_settings_or_grants_is_local_only() -> None:
    local = {name for name, operation in OPERATIONS.items() if operation.local_only}
    assert local == LOCAL | {"config.set", "service.kill"} | {
        name for name in OPERATIONS if name.startswith(("envelope.", "pair."))
    }


def test_identity_and_settings_are_served_offline_too_and_nothing_else() -> None:
    offline = {name for name, operation in OPERATIONS.items() if operation.offline}
    assert offline == {name for name in OPERATIONS if name.split(".")[0] in ("identity", "config", "envelope")}


def test_only_what_takes_a_while_or_goes_on_is_a_stream() -> None:
    streams = {name for name, operation in OPERATIONS.items() if operation.stream}
    assert streams == {
        "file.inbox",
        "file.send",
        "message.list",
        "node.events",
        "node.watch",
        "outbox.list",
        "pair.phrase",
        "pair.wait",
        "peer.sightings",
        "pipe.open",
        "topic.sub",
    }


def test_the_state_keeps_the_promised_fields_and_survives_the_wire() -> None:
    service = node_ops.ServiceBrief(name="ipc", state="running", restarts=0, since_s=1.5)
    state = node_ops.State(
        node="nzn1…",
        identity="nzi1…",
        name="a",
        version="0.1.0",
        uptime_s=2.0,
        listen=[],
        services=[service],
        peers=0,
        channels=0,
        healthy=True,
        problems=[],
    )
    told = builtins(state)
    assert isinstance(told, dict)
    promised = ["node", "identity", "name", "version", "uptime_s", "listen", "services", "peers", "channels"]
    assert list(told)[: len(promised)] == promised
    assert told["services"] == [{"name": "ipc", "state": "running", "restarts": 0, "since_s": 1.5}]
    assert convert(told, node_ops.State) == state


def test_secret_arguments_hide_from_repr_and_are_marked_in_the_schema() -> None:
    for args, field in (
        (identity_ops.RotateArgs(mnemonic="abandon ability"), "mnemonic"),
        (identity_ops.ExportArgs(passphrase="abandon ability"), "passphrase"),
        (identity_ops.PassphraseArgs(current="abandon ability", new=None), "current"),
        (identity_ops.PassphraseArgs(new="abandon ability"), "new"),
    ):
        assert "abandon" not in repr(args)
        assert "abandon" not in f"{args}"
        assert msgspec.json.schema(type(args))["$defs"][type(args).__name__]["properties"][field]["writeOnly"] is True


def test_the_schema_of_all_operations_is_sorted_and_tells_rights_and_risk() -> None:
    described = describe_all()
    assert list(described) == sorted(OPERATIONS)
    kill = described["service.kill"]
    assert (kill["scope"], kill["risk"], kill["local_only"], kill["stream"]) == ("admin", "danger", True, False)


def test_importing_the_table_loads_nothing_slow() -> None:
    code = "import sys, nzcore.control.table; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    slow = {"trio", "cryptography", "nacl", "asyncio", "structlog", "dataclasses", "socket", "logging"}
    assert not slow & set(done.stdout.split())
