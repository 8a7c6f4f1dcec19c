"""Handlers of the operations by which strangers become peers."""

from collections.abc import Iterable
from functools import partial
from typing import get_args

import trio

from nzcore.base.ids import NodeId
from nzcore.base.scopes import Scope
from nzcore.control import pair_ops
from nzcore.control.operation import Nothing
from nzcore.control.pair_ops import (
    ConfirmArgs,
    Confirmed,
    Invitation,
    InviteArgs,
    JoinArgs,
    Newcomer,
    NewPeer,
    PhraseArgs,
    PhraseStep,
    TicketArgs,
    TicketInfo,
)
from nzcore.ipc.connection import SendItem
from nzcore.net.interfaces import reach_of
from nzcore.node.network import advertised
from nzcore.node.node import Node
from nzcore.node.operations.handler import Handler
from nzcore.node.tickets import Given
from nzcore.node.window import Words
from nzcore.proto.identity.address import Address
from nzcore.proto.identity.ticket import MAX_ADDRESSES
from nzcore.proto.trust.view import PAIRING

REACHES = get_args(pair_ops.Reach)
"""Where an address works, by its `Reach`."""

WAITING = 64
"""Newcomers that wait for a slow reader before the oldest are dropped; the tickets themselves still know them."""


async def invite(node: Node, args: InviteArgs, send: SendItem) -> Invitation:
    advertise = tuple(map(Address.parse, args.addresses))
    ticket, given = await node.pairing.invite(
        ttl_s=args.ttl_s, uses=args.uses, scopes=granted(args.scopes), advertise=advertise
    )
    node.bus.emit("pair.invited", given.tid.hex())
    return Invitation(
        ticket=ticket.text,
        tid=given.tid.hex(),
        expires_s=args.ttl_s,
        addresses=[address.text for address in ticket.addresses],
        reach=REACHES[max((reach_of(address.host) for address in ticket.addresses), default=0)],
    )


async def wait(node: Node, args: TicketArgs, send: SendItem) -> None:
    """Who came before is told first; ends when the ticket is used up, over or out of time."""
    tickets, tid = node.pairing.tickets, bytes.fromhex(args.tid)
    began = trio.current_time() - max(0.0, node.wall_clock() - tickets.get(tid).ticket.made_at)
    seen: set[NodeId] = set()
    async with node.bus.subscribe("pair.*", capacity=WAITING, overflow="drop_oldest", name="pair.wait") as events:
        while True:
            given = tickets.get(tid)
            for bound in map(NodeId, given.ticket.bound):
                peer = node.peers.get(bound)
                if bound not in seen and peer is not None:
                    seconds = round(trio.current_time() - began, 1)
                    await send(Newcomer(node=bound.text, name=peer.petname, seconds=seconds))
                seen.add(bound)
            if given.state != "open":
                return
            with trio.move_on_after(max(given.left_s, 0.01)):
                await anext(aiter(events))


def list_tickets(node: Node, args: Nothing, send: SendItem) -> list[TicketInfo]:
    return [shown(given) for given in node.pairing.tickets.all()]


async def cancel(node: Node, args: TicketArgs, send: SendItem) -> TicketInfo:
    given = await node.pairing.tickets.cancel(bytes.fromhex(args.tid))
    node.bus.emit("pair.cancelled", args.tid)
    return shown(given)


async def join(node: Node, args: JoinArgs, send: SendItem) -> NewPeer:
    joined = await node.pairing.join(
        args.text, name=args.name or "", scopes=granted(args.scopes), timeout_s=args.timeout_s
    )
    return new_peer(node, joined.node)


async def phrase(node: Node, args: PhraseArgs, send: SendItem) -> None:
    """Three items: the open window, the words, the new peer. A caller who goes away closes the window."""
    own = node.identity.certificate

    async def opened(instance: str) -> None:
        reachable = [one.text for one in advertised(map(Address.parse, node.listening()))]
        await send(PhraseStep(event="window", instance=instance, addresses=reachable[:MAX_ADDRESSES]))

    async def compare(words: Words) -> None:
        step = partial(PhraseStep, event="words", words=list(words.words))
        await send(step(node=words.node.text, name=words.name))

    if args.petname:
        node.peers.check_petname(own.node, args.petname)
    peer_id, peer = await node.pairing.window.pair(
        own.name,
        name=args.name,
        addresses=tuple(map(Address.parse, args.addresses)),
        window_s=args.window_s,
        scopes=granted(args.scopes),
        petname=args.petname or "",
        opened=opened,
        words=compare,
    )
    node.bus.emit("peer.added", peer_id.text)
    node.pairing.expect(peer_id)
    await send(PhraseStep(event="paired", node=peer_id.text, name=peer.petname))


def confirm(node: Node, args: ConfirmArgs, send: SendItem) -> Confirmed:
    node.pairing.window.confirm(args.accept)
    return Confirmed(accept=args.accept)


def granted(scopes: Iterable[Scope] | None) -> frozenset[Scope]:
    """What a new peer may do here."""
    return PAIRING if scopes is None else frozenset(scopes)


def shown(given: Given) -> TicketInfo:
    ticket = given.ticket
    return TicketInfo(
        tid=given.tid.hex(),
        state=given.state,  # type: ignore[arg-type]  # one of the five, by `Tickets.get`
        expires_s=max(0, round(given.left_s)),
        uses=ticket.uses,
        nodes=[NodeId(bound).text for bound in ticket.bound],
        scopes=list(ticket.scopes),
    )


def new_peer(node: Node, peer_id: NodeId) -> NewPeer:
    peer = node.peers.get(peer_id)
    assert peer is not None
    connected = node.channels.links.get(peer_id) is not None
    return NewPeer(node=peer_id.text, name=peer.petname, how=peer.how, connected=connected)


HANDLERS: dict[str, Handler] = {
    pair_ops.INVITE.name: invite,
    pair_ops.WAIT.name: wait,
    pair_ops.LIST.name: list_tickets,
    pair_ops.CANCEL.name: cancel,
    pair_ops.JOIN.name: join,
    pair_ops.PHRASE.name: phrase,
    pair_ops.CONFIRM.name: confirm,
}
