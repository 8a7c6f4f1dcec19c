"""What a grant allows a peer; trust keeps them, operations and protocols ask for them (spec/control.md §3).

The owner at this machine is a kind of principal, not a scope.
"""

from enum import StrEnum


class Scope(StrEnum):
    """One right that a trust statement can give; its value is what stands in statements and texts."""

    CONNECT = "connect"
    MESSAGE = "message"
    FILES = "files"
    ROUTE = "route"
    INTRODUCE = "introduce"
    SYNC = "sync"
    ADMIN = "admin"
