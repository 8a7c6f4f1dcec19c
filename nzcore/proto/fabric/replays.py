"""Answers by idempotency key (spec/fabric.md §5): the same key is carried out once. Bounded in number, bytes and time.

Knows no task: whoever carries a request out says when it began and how it ended.
"""

from typing import NamedTuple

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.base.instant import Instant
from nzcore.proto.fabric.limits import BODY_BYTES

KEPT_S = 600.0
"""Seconds for which an answer is kept after it was given."""

KEPT = 1024
"""Answers kept of one node."""

KEPT_BYTES = 1 << 20
"""Bodies kept of one node."""

PLACES = 1024
"""Nodes of which answers are kept."""


class Place(NamedTuple):
    """Whose key it is, and of what."""

    node: NodeId
    operation: str
    key: str


class Outcome(NamedTuple):
    """How a request ended: the packed body of its answer or, where `code` is set, why there is none."""

    body: bytes = b""
    code: str = ""
    detail: str = ""


class _Kept:
    __slots__ = ("digest", "outcome", "until")

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.outcome: Outcome | None = None
        self.until = Instant(0.0)


class Replays:
    """What was asked with a key."""

    def __init__(self) -> None:
        self._kept: dict[NodeId, dict[Place, _Kept]] = {}

    def begin(self, place: Place, digest: bytes, now: Instant) -> bool:
        """Whether this is to be carried out now, because it never was; `digest` stands for the body.

        *Raises* PeerError `fabric.key-reused` where the key came with another body; `fabric.busy`.
        """
        ours = self._of(place.node, now)
        known = ours.get(place)
        if known is not None:
            if known.digest != digest:
                raise PeerError("fabric.key-reused")
            return False
        if sum(one.outcome is None for one in ours.values()) >= KEPT:
            raise PeerError("fabric.busy")
        ours[place] = _Kept(digest)
        return True

    def outcome(self, place: Place) -> Outcome | None:
        """How it ended; None while it is under way, or where it is forgotten."""
        kept = self._kept.get(place.node, {}).get(place)
        return None if kept is None else kept.outcome

    def finish(self, place: Place, outcome: Outcome, now: Instant) -> None:
        """Keeps how it ended, for a while."""
        ours = self._kept.get(place.node, {})
        kept = ours.pop(place, None)
        if kept is None:
            return
        kept.outcome, kept.until = outcome, Instant(now + KEPT_S)
        ours[place] = kept  # again, so that the oldest answer stands first
        self._trim(ours)

    def forget(self, place: Place) -> None:
        """It was not carried out after all."""
        self._kept.get(place.node, {}).pop(place, None)

    def _of(self, node: NodeId, now: Instant) -> dict[Place, _Kept]:
        ours = self._kept.pop(node, {})
        for place in [place for place, kept in ours.items() if kept.outcome is not None and kept.until <= now]:
            del ours[place]
        self._kept[node] = ours
        for other in list(self._kept)[: max(0, len(self._kept) - PLACES)]:
            if all(kept.outcome is not None for kept in self._kept[other].values()):
                del self._kept[other]
        return ours

    def _trim(self, ours: dict[Place, _Kept]) -> None:
        done = [place for place, kept in ours.items() if kept.outcome is not None]
        size = sum(len(kept.outcome.body) for kept in ours.values() if kept.outcome is not None)
        while len(done) > 1 and (len(done) > KEPT or size > max(KEPT_BYTES, BODY_BYTES)):
            outcome = ours.pop(done.pop(0)).outcome
            size -= len(outcome.body) if outcome is not None else 0
