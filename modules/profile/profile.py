"""A few words about oneself: signed, numbered, and delivered to every peer, also to those who are away now.

The newest number wins. What a peer says of itself is kept only with a signature that this node can verify.
"""

import json
from typing import Annotated, Any

from nzcore.module import Event, Message, Meta, Module, NodeId, Peer, Refusal, Struct, command, delivered, on, operation

NAME_CHARACTERS, NOTE_CHARACTERS = 64, 500
TOPIC = "profile.changed"


class About(Struct, frozen=True):
    """What a node says of itself."""

    name: str
    note: str
    picture: Annotated[str, Meta(description="SHA-256 of a picture, hexadecimal, or empty")]
    version: Annotated[int, Meta(description="grows with every change")]
    signature: Annotated[str, Meta(description="hexadecimal")]

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is over."""
        return json.dumps([self.name, self.note, self.picture, self.version], separators=(",", ":")).encode()


class Shown(Struct, frozen=True):
    """A profile and whose it is."""

    peer: Annotated[str, Meta(description="petname, or `you`")]
    name: str
    note: str
    picture: str
    verified: Annotated[bool, Meta(description="its signature fits the node's present keys")]


class Profile(Module):
    """Keeps the own profile and those of peers."""

    async def start(self) -> None:
        self._profiles = self.context.kv("profiles")
        self._sent = self.context.kv("sent")
        own = await self._read(self.context.node)
        if own is not None and not self.context.verify(self.context.node, own.signed, bytes.fromhex(own.signature)):
            await self._write(own.name, own.note, own.picture, own.version + 1)  # the node has new keys

    @command
    @operation(risk="change")
    async def change(self, name: str, note: str = "", picture: str = "") -> Shown:
        """Say who you are; peers are told, also those who are away now."""
        if not _is_proper(name, note, picture):
            raise Refusal(
                f"a name has 1 to {NAME_CHARACTERS} characters, a note up to {NOTE_CHARACTERS}, a picture's hash 64"
            )
        own = await self._read(self.context.node)
        about = await self._write(name, note, picture, (own.version if own else 0) + 1)
        for peer in self.context.peers():
            await self._offer(peer.node)
        return self._shown("you", self.context.node, about)

    @command
    @operation
    async def show(self, peer: str = "") -> Shown:
        """Show your profile, or a peer's."""
        node = self._find(peer).node if peer else self.context.node
        about = await self._read(node)
        if about is None:
            raise Refusal("nothing is known", hint="" if peer else "nzcore profile change NAME")
        return self._shown(peer or "you", node, about)

    @command
    @operation
    async def all(self) -> list[Shown]:
        """List the profiles of all peers."""
        known = [(peer, await self._read(peer.node)) for peer in self.context.peers()]
        return [self._shown(peer.name, peer.node, about) for peer, about in known if about is not None]

    @on("channel.opened")
    async def meet(self, event: Event) -> None:
        """A peer is there: it gets the profile, if it has not been sent this one."""
        await self._offer(NodeId.parse(event.value["peer"]))

    @delivered(TOPIC)
    async def learn(self, message: Message) -> None:
        """Keeps what a peer says of itself, if it is newer and signed by that peer."""
        about = _parsed(message.body)
        if about is None or not self.context.verify(message.origin, about.signed, bytes.fromhex(about.signature)):
            return
        known = await self._read(message.origin)
        if known is None or known.version < about.version:
            await self._keep(message.origin, about)
            await self.context.publish("profile.learned", message.origin.text)

    async def _offer(self, peer: NodeId) -> None:
        own = await self._read(self.context.node)
        entry = await self._sent.get(peer.text)
        if own is None or (entry is not None and int(entry.value) >= own.version):
            return
        await self.context.fabric.deliver(peer, TOPIC, own)
        await self._sent.put(peer.text, str(own.version).encode())

    async def _write(self, name: str, note: str, picture: str, version: int) -> About:
        unsigned = About(name, note, picture, version, "")
        about = About(name, note, picture, version, self.context.sign(unsigned.signed).hex())
        await self._keep(self.context.node, about)
        return about

    async def _keep(self, node: NodeId, about: About) -> None:
        fields = {name: getattr(about, name) for name in about.__struct_fields__}
        await self._profiles.put(node.text, json.dumps(fields).encode())

    async def _read(self, node: NodeId) -> About | None:
        entry = await self._profiles.get(node.text)
        return None if entry is None else About(**json.loads(entry.value))

    def _shown(self, peer: str, node: NodeId, about: About) -> Shown:
        verified = self.context.verify(node, about.signed, bytes.fromhex(about.signature))
        return Shown(peer, about.name, about.note, about.picture, verified)

    def _find(self, name: str) -> Peer:
        found = [peer for peer in self.context.peers() if name in (peer.name, peer.node.text)]
        if not found:
            raise Refusal(f"no peer is called {name!r}", hint="nzcore peer list")
        return found[0]


def _is_proper(name: Any, note: Any, picture: Any) -> bool:
    texts = isinstance(name, str) and isinstance(note, str) and isinstance(picture, str)
    return (
        texts
        and 0 < len(name) <= NAME_CHARACTERS
        and name.isprintable()
        and len(note) <= NOTE_CHARACTERS
        and note.isprintable()
        and (not picture or (len(picture) == 64 and set(picture) <= set("0123456789abcdef")))
    )


def _parsed(body: Any) -> About | None:
    """What a peer delivered as a profile; None for anything else."""
    if not isinstance(body, dict) or set(body) != {"name", "note", "picture", "version", "signature"}:
        return None
    version, signature = body["version"], body["signature"]
    if type(version) is not int or not 0 < version < 1 << 53 or not isinstance(signature, str) or len(signature) != 128:
        return None
    if not _is_proper(body["name"], body["note"], body["picture"]) or not set(signature) <= set("0123456789abcdef"):
        return None
    return About(**body)
