"""Reasons of `nzcore.ipc`: the socket between a command and its node."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-message": Reason("not a message of NZ-IPC-01", "use the nzcore command of the node's own version"),
    "bad-token": Reason(
        "the other end of the loopback connection does not know the token",
        "check that HOME/run/token belongs to this node, and start the node again",
    ),
    "connection-lost": Reason("the connection to the node ended", "look at nzcore logs, then try again"),
    "busy": Reason(
        "the node serves as many connections as it can", "close other commands that watch it, then try again"
    ),
    "busy-connection": Reason(
        "this connection is already streaming", "finish or close the stream, or open a second client"
    ),
    "cancelled": Reason("the call was cancelled", "call again when the answer is wanted"),
    "deadline": Reason("the node did not finish within the deadline", "try again with a longer --timeout"),
    "duplicate-id": Reason("a call's id is still in use on this connection", "number calls upwards from 1"),
    "idle": Reason("nothing was asked in time on a new connection", "connect when there is something to ask"),
    "internal": Reason(
        "the operation failed inside the node", "nzcore logs holds the details; please report what you find there"
    ),
    "no-socket-path": Reason(
        "no folder is short enough for the node's socket", "set XDG_RUNTIME_DIR or choose a shorter home"
    ),
    "not-owner": Reason(
        "the node belongs to another user of this machine", "run the command as the user who started the node"
    ),
    "not-running": Reason("the node is not running", "start it with: nzcore up -d"),
    "not-text": Reason(
        "what is not UTF-8 can't be told to the node",
        "write it in UTF-8; a file with such a name is sent with the folder that holds it",
    ),
    "path-taken": Reason("something that is not a socket is where the node's socket belongs", "move it away"),
    "stopping": Reason("the node is stopping", "start it again with: nzcore up -d"),
    "timeout": Reason("the node did not answer in time", "try again with a longer --timeout; nzcore logs may say why"),
    "too-large": Reason("the message is larger than 1 MiB", "ask for less at a time"),
    "too-many-calls": Reason("too many calls at once on one connection", "wait for some of the answers first"),
    "unsafe-folder": Reason(
        "the folder of the node's socket is open to other users", "make it yours alone: chmod 700 on that folder"
    ),
}
