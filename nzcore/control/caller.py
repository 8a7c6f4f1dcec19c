"""The typed client: an operation of the table and its arguments in, its typed result out, whatever the way there."""

from collections.abc import Generator
from typing import Protocol, TypeVar

from msgspec import Struct

from nzcore.control.operation import Operation

A = TypeVar("A", bound=Struct)
R = TypeVar("R")


class Caller(Protocol):
    """Calls operations and waits for their results; the blocking client over the socket is one."""

    def call(self, operation: Operation[A, R], args: A, *, timeout_s: float | None = None) -> R:
        """The operation's result. *Raises* NzError with the code that the node or the way there gave."""

    def stream(
        self, operation: Operation[A, R], args: A, *, timeout_s: float | None = None
    ) -> Generator[R, None, None]:
        """The operation's items as they come. *Raises* as `call`; closing the iterator cancels the operation."""
