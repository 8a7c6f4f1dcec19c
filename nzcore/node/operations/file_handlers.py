"""Handlers of the operations on files, messages and pipes."""

import os

import trio

from nzcore.base.errors import UsageError
from nzcore.base.ids import NodeId
from nzcore.control import file_ops
from nzcore.control.file_ops import (
    DIGESTS_AT_ONCE,
    FileProgress,
    FileSendArgs,
    InboxArgs,
    InboxFile,
    InboxItem,
    MessageInfo,
    MessageListArgs,
    MessageSendArgs,
    MessageSent,
    PipeArgs,
    PipeItem,
    TubeEndArgs,
    TubeWriteArgs,
)
from nzcore.control.operation import Nothing
from nzcore.ipc.connection import SendItem
from nzcore.net.stream import Stream
from nzcore.node.files.records import Page
from nzcore.node.files.sending import Outgoing
from nzcore.node.files.source import Survey, survey_stream
from nzcore.node.files.together import together
from nzcore.node.messages import ARRIVAL, Message
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.node.operations.trusted import while_trusted
from nzcore.node.tubes import Tube, check_name

PROGRESS_S = 0.2
"""Seconds between two items on the progress of a transfer."""

FOLLOWED = 1024
"""Messages that wait for a slow reader before the oldest are dropped from its view; they stay stored."""

PIPE_BYTES = 64 << 10  # a piece of a pipe for the reader


async def send_files(node: Node, args: FileSendArgs, send: SendItem) -> None:
    peer = node.peers.find(args.peer)
    if bool(args.paths) == (args.stream is not None):
        raise UsageError("files.nothing-to-send")
    if args.stream is None:
        found = await node.files.survey(args.paths)
        await _transfer(node, args, peer, found, None, send)
        return
    with node.tubes.opened() as tube:
        await _transfer(node, args, peer, survey_stream(args.stream), tube, send)


async def _transfer(
    node: Node, args: FileSendArgs, peer: NodeId, found: Survey, tube: Tube | None, send: SendItem
) -> None:
    outgoing = node.files.outgoing(peer, found, patience_s=args.wait_s, content=tube)
    teller = _Teller(outgoing, found, send)
    await teller.tell(tube="" if tube is None else tube.id, skipped=found.skipped)
    async with together() as nursery:
        nursery.start_soon(teller.go_on)
        with while_trusted(node, peer):
            names = await node.files.send(peer, outgoing)
        nursery.cancel_scope.cancel()
    known = node.peers.get(peer)
    await teller.tell_end(f"{known.petname if known else peer.short}:{', '.join(names)}")


class _Teller:
    """Tells how far a transfer is: now and then while it runs, and everything that is left at the end."""

    def __init__(self, outgoing: Outgoing, found: Survey, send: SendItem) -> None:
        self._outgoing = outgoing
        self._entries = found.manifest.entries
        self._send = send
        self._begun = trio.current_time()
        self._told: set[int] = set()

    async def go_on(self) -> None:
        while True:
            await trio.sleep(PROGRESS_S)
            await self.tell()

    async def tell(self, *, destination: str = "", tube: str = "", skipped: list[str] | None = None) -> None:
        progress = self._outgoing.progress
        phase = progress.phase if destination or progress.phase != "finished" else "finishing"
        fresh = [index for index in self._outgoing.digests if index not in self._told][:DIGESTS_AT_ONCE]
        await self._send(
            FileProgress(
                phase=phase,
                files=progress.files,
                total_files=progress.total_files,
                bytes=progress.done_bytes,
                total_bytes=progress.total_bytes,
                resumed_bytes=progress.resumed_bytes,
                seconds=round(trio.current_time() - self._begun, 3),
                sha256={"/".join(self._entries[at].path): self._outgoing.digests[at].hex() for at in fresh},
                skipped=skipped or [],
                destination=destination,
                tube=tube,
            )
        )
        self._told.update(fresh)  # only now: a cancelled item was not sent

    async def tell_end(self, destination: str) -> None:
        while len(self._outgoing.digests) - len(self._told) > DIGESTS_AT_ONCE:
            await self.tell()
        await self.tell(destination=destination)


async def inbox(node: Node, args: InboxArgs, send: SendItem) -> None:
    peer = None if args.peer is None else node.peers.find(args.peer)
    pages = [page async for page in node.files.inbox.records.all() if peer in (None, page.peer)]
    skipped = max(0, sum(len(page.files) for page in pages) - args.last) if args.last else 0
    for page in pages:
        files = page.files[skipped:]
        skipped = max(0, skipped - len(page.files))
        if files:
            await send(await node.files.inbox.offload(_listed, page, files))


def _listed(page: Page, files: list[tuple[str, int, str]]) -> InboxItem:
    return InboxItem(
        files=[
            InboxFile(
                sender=page.name,
                path=path,
                bytes=size,
                sha256=digest,
                received_at=int(page.received_at),
                present=os.path.lexists(path),
            )
            for path, size, digest in files
        ]
    )


async def send_message(node: Node, args: MessageSendArgs, send: SendItem) -> MessageSent:
    peer = node.peers.find(args.peer)
    begun = trio.current_time()
    with while_trusted(node, peer):
        await node.messages.send(peer, args.text, timeout_s=args.timeout_s)
    known = node.peers.get(peer)
    seconds = round(trio.current_time() - begun, 4)
    return MessageSent(node=peer.text, name=known.petname if known else "", seconds=seconds)


async def list_messages(node: Node, args: MessageListArgs, send: SendItem) -> None:
    peer = None if args.peer is None else node.peers.find(args.peer)
    async with node.messages.arrivals.subscribe(ARRIVAL, capacity=FOLLOWED, overflow="drop_oldest") as arriving:
        kept = [message for message in await node.messages.all() if peer in (None, message.peer)]
        for message in kept[-args.last :] if args.last else kept:
            await send(_message(node, message))
        if not args.follow:
            return
        shown = {message.id for message in kept}
        async for event in arriving:
            fresh = event.value
            if isinstance(fresh, Message) and fresh.id not in shown and peer in (None, fresh.peer):
                await send(_message(node, fresh))


def _message(node: Node, message: Message) -> MessageInfo:
    known = node.peers.get(message.peer)
    return MessageInfo(sender=known.petname if known else message.peer.text, text=message.text, at=message.at)


async def open_pipe(node: Node, args: PipeArgs, send: SendItem) -> None:
    peer, name = node.peers.find(args.peer), check_name(args.name)
    with while_trusted(node, peer), node.tubes.opened() as tube:
        if args.wait:
            await send(PipeItem(phase="waiting", tube=tube.id))
            async with node.pipes.waited(peer, name) as stream:
                await _join(stream, tube, send)
        else:
            async with await node.pipes.dial(peer, name) as stream:
                await _join(stream, tube, send)


async def _join(stream: Stream, tube: Tube, send: SendItem) -> None:
    """Both directions until both have ended."""

    async def outward() -> None:
        async for data in tube:
            await stream.send_all(data)
        await stream.send_eof()

    await send(PipeItem(phase="joined", tube=tube.id))
    async with together() as nursery:
        nursery.start_soon(outward)
        while data := await stream.receive_some(PIPE_BYTES):
            await send(PipeItem(phase="data", data=data))


async def write_tube(node: Node, args: TubeWriteArgs, send: SendItem) -> Nothing:
    await node.tubes.get(args.tube).write(args.data)
    return Nothing()


def end_tube(node: Node, args: TubeEndArgs, send: SendItem) -> Nothing:
    node.tubes.get(args.tube).end()
    return Nothing()


HANDLERS: dict[str, Handler] = {
    file_ops.SEND.name: send_files,
    file_ops.INBOX.name: inbox,
    file_ops.MESSAGE_SEND.name: send_message,
    file_ops.MESSAGE_LIST.name: list_messages,
    file_ops.PIPE.name: open_pipe,
    file_ops.TUBE_WRITE.name: write_tube,
    file_ops.TUBE_END.name: end_tube,
}
