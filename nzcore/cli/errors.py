"""Errors of the command line, and the exit code of every error.

0 done · 1 failed · 2 usage · 3 node not running · 4 refused · 5 timeout · 130 interrupted · 141 nobody reads.
"""

from nzcore.base.errors import NzError, UsageError

FAILED, USAGE, NOT_RUNNING, REFUSED, TIMEOUT, INTERRUPTED, UNREAD = 1, 2, 3, 4, 5, 130, 141

_EXIT = {
    "cli.timeout": TIMEOUT,
    "control.refused": REFUSED,  # also where no node is asked: the same gate stands before offline operations
    "ipc.deadline": TIMEOUT,
    "ipc.not-owner": REFUSED,
    "ipc.not-running": NOT_RUNNING,
    "ipc.timeout": TIMEOUT,
    "kernel.essential": REFUSED,
    "handshake.not-admitted": REFUSED,
    "node.essential-service": REFUSED,
    "node.no-home": NOT_RUNNING,
    "node.only-door": REFUSED,
    "pair.denied": REFUSED,
    "pair.window-used": REFUSED,
    "ticket.cancelled": REFUSED,  # these are another node's answers
    "ticket.expired": REFUSED,
    "ticket.no-room": REFUSED,
    "ticket.used": REFUSED,
    "ticket.void": REFUSED,
}


class CommandLineError(UsageError):
    """The command line asks for something that can't be meant: exit code 2."""


class OutputClosed(Exception):
    """Nobody reads standard output any more (`| head`): end quietly."""


def exit_code(error: NzError) -> int:
    """The code that a process ends with for `error`, the same whether a node was asked or not.

    What could be read but not done, as for a service that does not exist, has failed: 2 is for the line itself.
    """
    if isinstance(error, CommandLineError):
        return USAGE
    if error.code in _EXIT:
        return _EXIT[error.code]
    told = getattr(error, "exit_code", FAILED)  # the node's own answer says it
    return told if told in (REFUSED, TIMEOUT) else FAILED
