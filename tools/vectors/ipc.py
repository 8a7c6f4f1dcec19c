"""Makes vectors/ipc.json: messages of NZ-IPC-01 in both directions, and the loopback challenge (spec/control.md).

Run `python -m tools.vectors.ipc` to write the file.
"""

import json
from pathlib import Path

from nzcore.base.errors import PeerError
from nzcore.codec.frames import pack
from nzcore.crypto.hashing import sha256
from nzcore.ipc import wire
from nzcore.ipc.loopback import ClientChallenge, ServerChallenge, Token, parse_token

Case = dict[str, object]

OUTPUT = Path(__file__).parents[2] / "vectors" / "ipc.json"
FAILURE = wire.Failure("control.refused", "refused: why", "what to try", "refused", {"decision": "DENY"})


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/control.md",
        "comment": "bytes are hex; the tokens here are published and must never be used",
        "cases": [*_good_messages(), *_bad_messages(), *_challenge(), *_tokens()],
    }


def describe(event: wire.ToServer | wire.ToClient) -> dict[str, object]:
    """An event as JSON: its kind and its fields."""
    fields = event._asdict()
    for name, value in fields.items():
        if isinstance(value, wire.Failure):
            fields[name] = {**value._asdict(), "facts": dict(value.facts)}
    return {"event": type(event).__name__.lower(), **fields}


def ear(side: str) -> wire.ServerWire | wire.ClientWire:
    return wire.ServerWire() if side == "server" else wire.ClientWire()


def _good_messages() -> list[Case]:
    call = wire.Call(7, "service.show", {"name": "ipc"}, 30.0)
    good: list[tuple[str, str, bytes, str]] = [
        ("call", "server", wire.encode_call(call), "arguments are a map by name"),
        (
            "call-without-deadline",
            "server",
            wire.encode_call(call._replace(deadline_s=None)),
            "an empty map of metadata",
        ),
        (
            "call-with-unknown-metadata",
            "server",
            pack([0, 1, "node.state", [None, {"deadline_s": 5, "colour": "red"}]]),
            "left for later versions",
        ),
        ("call-with-long-deadline", "server", pack([0, 1, "node.state", [{}, {"deadline_s": 1e9}]]), "cut to a day"),
        ("call-with-largest-id", "server", wire.encode_call(call._replace(id=wire.MAX_ID)), "32 bits"),
        ("cancel", "server", wire.encode_cancel(7), ""),
        ("result", "client", wire.encode_result(7, {"name": "ipc", "restarts": 0}), ""),
        ("result-nil", "client", wire.encode_result(7, None), "a stream has ended"),
        ("error", "client", wire.encode_failure(7, FAILURE), ""),
        (
            "error-of-unknown-kind",
            "client",
            pack([1, 7, {"code": "a.b", "message": "m", "kind": "odd"}, None]),
            "reads as failed",
        ),
        ("item", "client", wire.encode_item(7, {"topic": "service.net.running"}), ""),
        ("close", "client", wire.encode_close(FAILURE), ""),
        ("two-in-one", "server", wire.encode_call(call) + wire.encode_cancel(7), "messages delimit themselves"),
        ("nothing-whole", "server", wire.encode_call(call)[:-1], "waits for the rest"),
    ]
    return [
        {
            "name": name,
            "comment": comment,
            "expect": "ok",
            "side": side,
            "bytes": data.hex(),
            "events": [describe(event) for event in ear(side).receive(data)],
        }
        for name, side, data, comment in good
    ]


def _bad_messages() -> list[Case]:
    bad: list[tuple[str, str, bytes, str]] = [
        ("not-an-array", "server", pack({"id": 1}), ""),
        ("empty-array", "server", pack([]), ""),
        ("false-for-zero", "server", pack([False, 1, "node.state", [{}, {}]]), "a boolean is no message type"),
        ("true-for-an-id", "server", pack([0, True, "node.state", [{}, {}]]), "a boolean is no id"),
        ("negative-id", "server", pack([0, -1, "node.state", [{}, {}]]), ""),
        ("id-beyond-32-bits", "server", pack([0, 1 << 32, "node.state", [{}, {}]]), ""),
        ("no-metadata", "server", pack([0, 1, "node.state", [{}]]), "arguments and metadata are two"),
        ("empty-name", "server", pack([0, 1, "", [{}, {}]]), ""),
        ("long-name", "server", pack([0, 1, "a" * 65, [{}, {}]]), "65 characters"),
        ("deadline-zero", "server", pack([0, 1, "node.state", [{}, {"deadline_s": 0}]]), ""),
        ("deadline-nan", "server", pack([0, 1, "node.state", [{}, {"deadline_s": float("nan")}]]), ""),
        ("deadline-text", "server", pack([0, 1, "node.state", [{}, {"deadline_s": "5"}]]), ""),
        ("reply-to-the-server", "server", wire.encode_result(1, None), "each side has its own messages"),
        ("call-to-the-client", "client", wire.encode_call(wire.Call(1, "node.state", {}, None)), ""),
        ("result-and-error", "client", pack([1, 1, {"code": "a.b", "message": "m"}, 5]), "one of the two is nil"),
        ("error-without-code", "client", pack([1, 1, {"message": "m"}, None]), ""),
        ("bad-messagepack", "server", b"\xc1", "never used by MessagePack"),
        ("deep", "server", pack([0, 1, "x", [[[[[[[[[]]]]]]]], {}]]), "nested more than 8 deep"),
    ]
    return [
        {"name": name, "comment": comment, "expect": _code(side, data), "side": side, "bytes": data.hex()}
        for name, side, data, comment in bad
    ]


def _code(side: str, data: bytes) -> str:
    try:
        ear(side).receive(data)
    except PeerError as error:
        return error.code
    raise AssertionError(f"taken, though bad: {data.hex()}")


def _challenge() -> list[Case]:
    token = Token(4711, sha256(b"NZ-VECTORS-01 ipc token"))
    client_nonce, server_nonce = sha256(b"NZ-VECTORS-01 ipc client"), sha256(b"NZ-VECTORS-01 ipc server")
    client, server = ClientChallenge(token, client_nonce), ServerChallenge(token, server_nonce)
    answer = server.greet(client.hello)
    given: Case = {
        "port": token.port,
        "secret": token.secret.hex(),
        "client_nonce": client_nonce.hex(),
        "server_nonce": server_nonce.hex(),
        "hello": client.hello.hex(),
    }
    good: Case = {**given, "answer": answer.hex(), "proof": client.answer(answer).hex()}
    elsewhere = ServerChallenge(token._replace(port=4712), server_nonce).greet(client.hello)
    reflected = server_nonce + client.answer(answer)
    return [
        {"name": "challenge", "comment": "hello, answer, proof", "expect": "ok", **good},
        {
            "name": "answer-for-another-port",
            "comment": "relayed from another server with the same token",
            "expect": "ipc.bad-token",
            **given,
            "answer": elsewhere.hex(),
        },
        {
            "name": "answer-with-the-clients-proof",
            "comment": "the two labels differ, so proofs can't be reflected",
            "expect": "ipc.bad-token",
            **given,
            "answer": reflected.hex(),
        },
    ]


def _tokens() -> list[Case]:
    secret = "ab" * 32
    lines = [
        ("token", f"NZ-IPC-01 4711 {secret}\n", "port and secret"),
        ("token-without-line-end", f"NZ-IPC-01 4711 {secret}", "cut off while it was written"),
        ("token-of-a-short-secret", f"NZ-IPC-01 4711 {secret[:-2]}\n", "31 bytes"),
        ("token-of-port-zero", f"NZ-IPC-01 0 {secret}\n", ""),
        ("token-in-capitals", f"NZ-IPC-01 4711 {secret.upper()}\n", "one text a token"),
        ("token-of-another-version", f"NZ-IPC-02 4711 {secret}\n", ""),
    ]
    cases: list[Case] = []
    for name, line, comment in lines:
        try:
            parse_token(line.encode())
            expect = "ok"
        except PeerError as error:
            expect = error.code
        cases.append({"name": name, "comment": comment, "expect": expect, "token": line.encode().hex()})
    return cases


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(generate(), indent=1, ensure_ascii=False) + "\n")
