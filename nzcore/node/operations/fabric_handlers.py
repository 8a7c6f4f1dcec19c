"""Handlers of the operations on the message fabric."""

import trio

from nzcore.control import fabric_ops
from nzcore.control.fabric_ops import (
    FabricAnswer,
    FabricCallArgs,
    OutboxCount,
    OutboxDropArgs,
    OutboxEntry,
    OutboxListArgs,
    OutboxRetryArgs,
    TopicMessage,
    TopicPubArgs,
    TopicSubArgs,
)
from nzcore.control.operation import Nothing
from nzcore.ipc.connection import SendItem
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.node.operations.trusted import while_trusted


async def publish(node: Node, args: TopicPubArgs, send: SendItem) -> Nothing:
    await node.fabric.publish(args.topic, args.body)
    return Nothing()


async def follow(node: Node, args: TopicSubArgs, send: SendItem) -> None:
    async with node.fabric.subscribe(args.pattern, name="topic.sub") as arriving:
        async for message in arriving:
            peer = node.peers.get(message.origin)
            at = node.wall_clock() - (trio.current_time() - message.at)
            await send(
                TopicMessage(
                    topic=message.topic,
                    body=message.body,
                    node=message.origin.text,
                    name=peer.petname if peer else "",
                    at=round(at, 3),
                )
            )


async def call(node: Node, args: FabricCallArgs, send: SendItem) -> FabricAnswer:
    peer, begun = node.peers.find(args.peer), trio.current_time()
    with while_trusted(node, peer):
        body = await node.fabric.request(peer, args.operation, args.body, deadline_s=args.deadline_s, key=args.key)
    return FabricAnswer(body=body, seconds=round(trio.current_time() - begun, 4))


async def list_outbox(node: Node, args: OutboxListArgs, send: SendItem) -> None:
    only = None if args.peer is None else node.peers.find(args.peer)
    await node.fabric.outbox.load()
    for one in list(node.fabric.outbox.all()):
        if only in (None, one.peer):
            peer = node.peers.get(one.peer)
            await send(
                OutboxEntry(
                    id=one.id,
                    node=one.peer.text,
                    name=peer.petname if peer else "",
                    topic=one.topic,
                    bytes=one.size,
                    since=one.since / 1000,
                    refused=one.code,
                    tries=one.tries,
                )
            )


def retry(node: Node, args: OutboxRetryArgs, send: SendItem) -> OutboxCount:
    return OutboxCount(deliveries=node.fabric.outbox.retry(args.ids))


async def drop(node: Node, args: OutboxDropArgs, send: SendItem) -> OutboxCount:
    return OutboxCount(deliveries=await node.fabric.outbox.drop(args.ids))


HANDLERS: dict[str, Handler] = {
    fabric_ops.TOPIC_PUB.name: publish,
    fabric_ops.TOPIC_SUB.name: follow,
    fabric_ops.CALL.name: call,
    fabric_ops.OUTBOX_LIST.name: list_outbox,
    fabric_ops.OUTBOX_RETRY.name: retry,
    fabric_ops.OUTBOX_DROP.name: drop,
}
