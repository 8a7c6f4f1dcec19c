"""Operations on files, messages and pipes between peers (spec/control.md §5)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from nzcore.control.operation import Args, Nothing, Operation
from nzcore.control.peer_ops import PeerName

FEED_BYTES = 512 << 10
"""Largest piece of input in one call: half of what a local message may have."""

DIGESTS_AT_ONCE = 500
"""Digests in one item: with the longest paths half of what a local message may have; more come in further items."""

Last = Annotated[int, Meta(description="only so many, the newest", ge=1, le=1_000_000)]
Tube = Annotated[str, Meta(description="which input: from the first item", min_length=1, max_length=64)]


class FileSendArgs(Args, frozen=True, kw_only=True):
    peer: PeerName
    paths: Annotated[list[str], Meta(description="absolute paths of files and folders", max_length=1024)] = field(
        default_factory=list
    )
    stream: Annotated[
        str | None, Meta(description="instead of paths: the name of one file whose content comes by tube.write")
    ] = None
    wait_s: Annotated[float, Meta(description="seconds to wait for an interrupted peer", ge=0, le=86_400)] = 60.0


class FileProgress(Struct, frozen=True, kw_only=True):
    """How far a transfer is; the last item has the phase `finished`."""

    phase: Literal["queued", "connecting", "waiting", "sending", "finishing", "interrupted", "finished"]
    files: Annotated[int, Meta(description="files sent")]
    total_files: int
    bytes: Annotated[int, Meta(description="bytes sent, or known to be there")]
    total_bytes: Annotated[int | None, Meta(description="null for standard input, until its end")]
    resumed_bytes: Annotated[int, Meta(description="of these, what the peer had of an earlier attempt")]
    seconds: float
    sha256: Annotated[dict[str, str], Meta(description="digests by path, those that no earlier item had")] = field(
        default_factory=dict
    )
    skipped: Annotated[list[str], Meta(description="links and devices, which are not sent")] = field(
        default_factory=list
    )
    destination: Annotated[str, Meta(description="PEER:NAMES as stored there, once finished")] = ""
    tube: Annotated[str, Meta(description="where the content of a stream goes, in the first item")] = ""


class InboxFile(Struct, frozen=True, kw_only=True):
    """One received file."""

    sender: Annotated[str, Meta(description="petname at that time")] = field(name="from")
    path: Annotated[str, Meta(description="absolute")]
    bytes: int
    sha256: Annotated[str, Meta(description="hexadecimal")]
    received_at: Annotated[int, Meta(description="seconds since 1970")]
    present: Annotated[bool, Meta(description="whether there is still a file at this path")]


class InboxArgs(Args, frozen=True, kw_only=True):
    peer: PeerName | None = None
    last: Last | None = None


class InboxItem(Struct, frozen=True, kw_only=True):
    """Some received files, in order of time."""

    files: list[InboxFile]


class MessageSendArgs(Args, frozen=True, kw_only=True):
    peer: PeerName
    text: Annotated[str, Meta(description="up to 16 KiB of UTF-8", min_length=1, max_length=16_384)]
    timeout_s: Annotated[float, Meta(description="seconds to wait for the peer", gt=0, le=600)] = 20.0


class MessageSent(Struct, frozen=True, kw_only=True):
    """The peer has stored it."""

    node: Annotated[str, Meta(description="NodeId, nzn1…")]
    name: Annotated[str, Meta(description="petname")]
    seconds: float


class MessageInfo(Struct, frozen=True, kw_only=True):
    """One received message."""

    sender: Annotated[str, Meta(description="petname, or NodeId of a peer that is not known any more")] = field(
        name="from"
    )
    text: Annotated[str, Meta(description="without control characters")]
    at: Annotated[float, Meta(description="seconds since 1970, when it arrived")]


class MessageListArgs(Args, frozen=True, kw_only=True):
    peer: PeerName | None = None
    last: Last | None = None
    follow: Annotated[bool, Meta(description="go on with those that arrive")] = False


class PipeArgs(Args, frozen=True, kw_only=True):
    peer: PeerName
    name: Annotated[str, Meta(description="under which both sides meet", min_length=1, max_length=64)] = "pipe"
    wait: Annotated[bool, Meta(description="wait to be dialled, rather than dial")] = False


class PipeItem(Struct, frozen=True, kw_only=True):
    """First the tube for what this side says, then that both are joined, then what the other side says."""

    phase: Literal["waiting", "joined", "data"]
    tube: str = ""
    data: bytes = b""


class TubeWriteArgs(Args, frozen=True, kw_only=True):
    tube: Tube
    data: Annotated[bytes, Meta(max_length=FEED_BYTES)]


class TubeEndArgs(Args, frozen=True, kw_only=True):
    tube: Tube


SEND = Operation(
    name="file.send",
    summary="Send files and folders to a peer.",
    args=FileSendArgs,
    result=FileProgress,
    stream=True,
    risk="change",
    local_only=True,
    names="peer",
)
INBOX = Operation(
    name="file.inbox",
    summary="List what peers have sent.",
    args=InboxArgs,
    result=InboxItem,
    stream=True,
    local_only=True,
)
MESSAGE_SEND = Operation(
    name="message.send",
    summary="Send a short text to a peer.",
    args=MessageSendArgs,
    result=MessageSent,
    risk="change",
    names="peer",
)
MESSAGE_LIST = Operation(
    name="message.list",
    summary="List received messages, and go on with new ones where asked to.",
    args=MessageListArgs,
    result=MessageInfo,
    stream=True,
)
PIPE = Operation(
    name="pipe.open",
    summary="Join this side's input and output with those of a peer.",
    args=PipeArgs,
    result=PipeItem,
    stream=True,
    risk="change",
    local_only=True,
    names="peer",
)
TUBE_WRITE = Operation(
    name="tube.write",
    summary="Give a piece of input to a running file.send or pipe.open.",
    args=TubeWriteArgs,
    result=Nothing,
    risk="change",
    local_only=True,
)
TUBE_END = Operation(
    name="tube.end",
    summary="End the input of a running file.send or pipe.open.",
    args=TubeEndArgs,
    result=Nothing,
    risk="change",
    local_only=True,
)

FILE_OPERATIONS = (SEND, INBOX, MESSAGE_SEND, MESSAGE_LIST, PIPE, TUBE_WRITE, TUBE_END)
