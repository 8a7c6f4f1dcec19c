"""The typed client: operations of the table over the blocking client; a `control.caller.Caller`."""

from collections.abc import Generator
from contextlib import closing
from typing import TypeVar

from msgspec import Struct

from nzcore.codec.types import builtins, convert
from nzcore.control.operation import Operation
from nzcore.ipc.client import Client

A = TypeVar("A", bound=Struct)
R = TypeVar("R")


class TypedClient:
    """Wraps a `Client`, which its maker closes. *Raises* as the client, and PeerError `codec.wrong-type` for a
    result of another shape: a node of another version."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def call(self, operation: Operation[A, R], args: A, *, timeout_s: float | None = None) -> R:
        result = self._client.call(operation.name, builtins(args), timeout_s=timeout_s)
        return convert(result, operation.result)

    def stream(
        self, operation: Operation[A, R], args: A, *, timeout_s: float | None = None
    ) -> Generator[R, None, None]:
        with closing(self._client.stream(operation.name, builtins(args), timeout_s=timeout_s)) as items:
            for item in items:
                yield convert(item, operation.result)
