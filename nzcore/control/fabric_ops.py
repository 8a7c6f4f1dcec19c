"""Operations on the message fabric: topics, calls at peers, the outbox (spec/control.md §5.11)."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from nzcore.control.operation import Args, Nothing, Operation
from nzcore.control.peer_ops import PeerName

Topic = Annotated[str, Meta(description="dotted words", min_length=1, max_length=256)]
Body = Annotated[Any, Meta(description="texts, numbers, bytes, true, false, null; lists and maps with text keys")]
Key = Annotated[str, Meta(description="the same key is carried out once", min_length=1, max_length=128)]
DeliveryIds = Annotated[list[str], Meta(description="as outbox.list gives them", min_length=1, max_length=1000)]


class TopicPubArgs(Args, frozen=True, kw_only=True):
    topic: Topic
    body: Body = None


class TopicSubArgs(Args, frozen=True, kw_only=True):
    pattern: Annotated[str, Meta(description="`*` is one word, a last `**` any number", min_length=1, max_length=256)]


class TopicMessage(Struct, frozen=True, kw_only=True):
    """One message that was published."""

    topic: str
    body: Body
    node: Annotated[str, Meta(description="NodeId of who published it, nzn1…")]
    name: Annotated[str, Meta(description="petname; empty for this node")]
    at: Annotated[float, Meta(description="seconds since 1970, when it arrived")]


class FabricCallArgs(Args, frozen=True, kw_only=True):
    peer: PeerName
    operation: Annotated[str, Meta(description="of a module or of the node there", min_length=3, max_length=128)]
    body: Body = None
    deadline_s: Annotated[float, Meta(description="seconds to wait for the answer", gt=0, le=3600)] = 20.0
    key: Key | None = None


class FabricAnswer(Struct, frozen=True, kw_only=True):
    """What the peer's operation answered."""

    body: Body
    seconds: float


class OutboxListArgs(Args, frozen=True, kw_only=True):
    peer: PeerName | None = None


class OutboxEntry(Struct, frozen=True, kw_only=True):
    """One delivery that the peer has not yet kept."""

    id: str
    node: Annotated[str, Meta(description="NodeId of the receiver, nzn1…")]
    name: Annotated[str, Meta(description="petname; empty where it is no peer any more")]
    topic: str
    bytes: int
    since: Annotated[float, Meta(description="seconds since 1970")]
    refused: Annotated[str, Meta(description="code of the last refusal, empty where there was none")]
    tries: Annotated[int, Meta(description="how often it was refused since the start")]


class OutboxRetryArgs(Args, frozen=True, kw_only=True):
    ids: DeliveryIds | None = None


class OutboxDropArgs(Args, frozen=True, kw_only=True):
    ids: DeliveryIds


class OutboxCount(Struct, frozen=True, kw_only=True):
    """To how many deliveries it was done."""

    deliveries: int


TOPIC_PUB = Operation(
    name="topic.pub",
    summary="Publish a message to whoever subscribed here and at connected peers.",
    args=TopicPubArgs,
    result=Nothing,
    risk="change",
    names="topic",
)
TOPIC_SUB = Operation(
    name="topic.sub",
    summary="Follow what is published here and by connected peers.",
    args=TopicSubArgs,
    result=TopicMessage,
    stream=True,
    names="pattern",
)
CALL = Operation(
    name="fabric.call",
    summary="Call an operation at a peer.",
    args=FabricCallArgs,
    result=FabricAnswer,
    risk="change",
    local_only=True,  # else one peer could use this node's rights at another
    names="peer",
)
OUTBOX_LIST = Operation(
    name="outbox.list",
    summary="List deliveries that peers have not yet kept.",
    args=OutboxListArgs,
    result=OutboxEntry,
    stream=True,
)
OUTBOX_RETRY = Operation(
    name="outbox.retry",
    summary="Send waiting deliveries again now.",
    args=OutboxRetryArgs,
    result=OutboxCount,
    risk="change",
)
OUTBOX_DROP = Operation(
    name="outbox.drop",
    summary="Give waiting deliveries up.",
    args=OutboxDropArgs,
    result=OutboxCount,
    risk="danger",
)

FABRIC_OPERATIONS = (TOPIC_PUB, TOPIC_SUB, CALL, OUTBOX_LIST, OUTBOX_RETRY, OUTBOX_DROP)
