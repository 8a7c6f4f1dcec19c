"""Rooms: what is said in one reaches the connected peers that run chat, too; every node keeps what it heard.

A room is a topic of the fabric, so there is no member list and no owner: whoever may send you messages can speak.
What is said while a peer is away does not reach it. History is bounded: the oldest lines of a room go first.
"""

import json
import re
from collections.abc import AsyncIterator
from typing import Annotated

from nzcore.module import Message, Meta, Module, NodeId, NzError, Refusal, Struct, command, operation, received

TEXT_CHARACTERS = 2000
KEPT = 1000  # lines of a room
ROOMS = 100
BURST, RATE = 50.0, 5.0  # lines of one peer at once, and a second: each is a write to the disk
ROOM = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

Room = Annotated[str, Meta(description="small letters, digits and hyphens")]


class Line(Struct, frozen=True):
    """Something that was said."""

    room: str
    who: Annotated[str, Meta(description="petname, or `you`")]
    text: str
    at: Annotated[float, Meta(description="seconds since 1970, when this node heard it")]


class Chat(Module):
    """Says, hears and remembers."""

    async def start(self) -> None:
        self._history = self.context.kv("history")
        self._counts: dict[str, int] = {}
        self._budgets: dict[NodeId, tuple[float, float]] = {}
        for key in await self._history.list():
            room = key.partition("/")[0]
            self._counts[room] = self._counts.get(room, 0) + 1

    @command
    @operation(risk="change")
    async def say(self, room: Room, text: str) -> Line:
        """Say something in a room."""
        if not ROOM.fullmatch(room):
            raise Refusal("not a name for a room", hint="small letters, digits and hyphens")
        if not 0 < len(text) <= TEXT_CHARACTERS:
            raise Refusal(f"a line has 1 to {TEXT_CHARACTERS} characters")
        line = await self._keep(room, self.context.node, text)
        await self.context.fabric.publish(f"chat.room.{room}", {"text": text})
        return line

    @command
    @operation
    async def read(self, room: Room, last: int = 20) -> list[Line]:
        """Show the last lines of a room."""
        keys = await self._history.list(f"{room}/")
        lines = [await self._line(key) for key in keys[-max(0, min(last, KEPT)) :]] if last > 0 else []
        return [line for line in lines if line is not None]

    @command
    @operation
    async def follow(self, room: Room) -> AsyncIterator[Line]:
        """Show what is said in a room, as it is said."""
        async with self._history.watch(f"{room}/") as changes:
            async for change in changes:
                line = None if change.deleted else await self._line(change.name)
                if line is not None:
                    yield line

    @command
    @operation
    async def rooms(self) -> dict[str, int]:
        """List rooms, and how many lines each has."""
        return dict(sorted(self._counts.items()))

    @received("chat.room.*")
    async def hear(self, message: Message) -> None:
        """Keeps what a peer said; our own words come back by the same way, and were kept already."""
        room = message.topic.rpartition(".")[2]
        body = message.body if isinstance(message.body, dict) else {}
        text = body.get("text")
        if message.origin == self.context.node or not ROOM.fullmatch(room) or not isinstance(text, str):
            return
        if 0 < len(text) <= TEXT_CHARACTERS and self._may_speak(message.origin):
            await self._keep(room, message.origin, text)

    async def _keep(self, room: str, origin: NodeId, text: str) -> Line:
        if room not in self._counts and len(self._counts) >= ROOMS:
            raise Refusal(f"there are {ROOMS} rooms already")
        at = self.context.now()
        clean = "".join(c if c.isprintable() else " " for c in text)
        name = f"{room}/{int(at * 1000):015d}"
        value = json.dumps({"who": origin.text, "text": clean, "at": round(at, 3)}).encode()
        while not await self._put_new(name, value):
            name += "+"  # several lines in one millisecond stay in order
        self._counts[room] = self._counts.get(room, 0) + 1
        await self._trim(room)
        await self.context.publish("chat.said", room)
        return Line(room, self._called(origin.text), clean, round(at, 3))

    async def _put_new(self, name: str, value: bytes) -> bool:
        try:
            await self._history.put(name, value, expect=0)
        except NzError as error:
            if error.code != "store.conflict":
                raise
            return False
        return True

    async def _trim(self, room: str) -> None:
        if self._counts[room] > KEPT:
            for name in (await self._history.list(f"{room}/"))[:-KEPT]:
                await self._history.delete(name)
                self._counts[room] -= 1

    async def _line(self, name: str) -> Line | None:
        entry = await self._history.get(name)
        if entry is None:
            return None
        value = json.loads(entry.value)
        return Line(name.partition("/")[0], self._called(value["who"]), value["text"], value["at"])

    def _called(self, node: str) -> str:
        if node == self.context.node.text:
            return "you"
        return next((peer.name for peer in self.context.peers() if peer.node.text == node), node)

    def _may_speak(self, peer: NodeId) -> bool:
        """Whether a peer has not said too much lately; what it says beyond that is not kept."""
        now = self.context.now()
        left, at = self._budgets.get(peer, (BURST, now))
        left = min(BURST, left + max(0.0, now - at) * RATE)
        self._budgets[peer] = (left - 1 if left >= 1 else left, now)
        return left >= 1
