"""Reasons of `nzcore.proto.files`, and of sending and receiving files, messages and pipes."""

from nzcore.base.reasons import Reason

REASONS = {
    # What breaks the protocol.
    "bad-frame": Reason(
        "a frame of a transfer that the specification does not allow", "compare the versions of both nodes"
    ),
    "bad-path": Reason("a path that cannot be received", "shorten or rename it; paths have at most 1,024 bytes"),
    "bad-size": Reason("an impossible size", "compare the versions of both nodes"),
    "bad-manifest": Reason("a list of files that contradicts itself", "compare the versions of both nodes"),
    "bad-offset": Reason("a transfer goes on where it may not", "compare the versions of both nodes"),
    "out-of-turn": Reason(
        "a frame of a transfer that may not come in this state", "compare the versions of both nodes"
    ),
    "too-many-bytes": Reason("more bytes came than were offered", "send it again; if it stays, the sender is faulty"),
    "too-few-bytes": Reason("fewer bytes came than were offered", "send it again; if it stays, the sender is faulty"),
    "incomplete": Reason("files that were offered were never sent", "compare the versions of both nodes"),
    "hash-mismatch": Reason(
        "what arrived is not what was sent", "send it again; if it stays, check the memory and disks of both machines"
    ),
    "misused": Reason("a transfer was driven out of turn", "this is a bug in nzcore; please report it"),
    # What a receiver refuses.
    "too-many-files": Reason("more files than one transfer may have", "send fewer at a time, or an archive of them"),
    "over-quota": Reason(
        "the receiver takes no more from this node",
        "ask the other owner to move received files out of the inbox, or to raise files.quota_bytes there",
    ),
    "disk-full": Reason("the receiver's disk is full", "ask the other owner to make room, then send it again"),
    "cannot-write": Reason("the receiver cannot write into its inbox", "ask the other owner to look at inbox and log"),
    "stalled": Reason("the sender said nothing for a minute", "send it again: it goes on where it was"),
    "stopping": Reason("the receiver stops receiving", "send it again later: it goes on where it was"),
    # What a sender meets.
    "no-path": Reason("there is no such file or folder", "check the path"),
    "relative-path": Reason("a path that depends on where one stands", "give an absolute path"),
    "nothing-to-send": Reason("nothing here can be sent", "name a file or a folder"),
    "unreadable": Reason("a file cannot be read", "check its owner and mode"),
    "source-changed": Reason("a file changed while it was sent", "send it again when it is at rest"),
    "refused": Reason("the other node refused the transfer", "ask its owner"),
    "not-resumable": Reason("standard input cannot be sent twice", "run the command again from its beginning"),
    "gave-up": Reason("the other node did not come back in time", "send it again: it goes on where it was"),
    # Pipes.
    "no-tube": Reason("this input is not being read any more", "run the command again"),
    "too-many-tubes": Reason("too many inputs are open", "end some of the running commands"),
    "nobody-waits": Reason(
        "nobody waits at the other end of this pipe", "run `nzcore pipe --wait` with the same name there first"
    ),
    "pipe-taken": Reason("somebody waits for this pipe already", "choose another name"),
    "bad-pipe-name": Reason("not a name for a pipe", "a name has 1 to 64 bytes of printable text"),
    "bad-pipe": Reason("the other side spoke out of turn on a pipe", "compare the versions of both nodes"),
}
