"""Makes vectors/fabric.json: frames of both streams as one reader takes them, and numbers kept of an outbox
(spec/fabric.md)."""

from nzcore.base.errors import PeerError
from nzcore.codec.frames import pack
from nzcore.proto.fabric import frames
from nzcore.proto.fabric.frames import PublicationReader, encode, encode_publications, framed
from nzcore.proto.fabric.limits import PATTERNS, WINDOW
from nzcore.proto.fabric.seen import Numbers
from nzcore.proto.fabric.session import Session

Case = dict[str, object]

OUTBOX = bytes(range(16))
GREETING = encode(frames.SUBSCRIBE)


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/fabric.md",
        "comment": "bytes are hex; a line's reader has itself asked with the ids 1 and 2 and delivered the number 7",
        "cases": [*_line(), *_refused(), *_topics()],
        "numbers": _numbers(),
    }


def replay(case: Case) -> list[object]:
    """What the reader of a case makes of its bytes. *Raises* PeerError."""
    data = bytes.fromhex(str(case["bytes"]))
    if case["reader"] == "topics":
        return [_plain(batch) for batch in PublicationReader().feed(data)]
    events = asked_session().receive(data)
    return [[event[0].name, *map(_plain, event[1:])] for event in events]


def asked_session() -> Session:
    """A session with requests and a delivery under way."""
    session = Session({})
    for _ in range(2):
        session.ask("maths.add", pack([2, 3]), deadline_s=5)
    session.deliver(OUTBOX, 7, 7, "shop.order", pack("tea"))
    return session


def _case(name: str, comment: str, data: bytes, reader: str = "line") -> Case:
    case: Case = {"name": name, "comment": comment, "reader": reader, "bytes": data.hex()}
    try:
        return case | {"expect": "ok", "events": replay(case)}
    except PeerError as error:
        return case | {"expect": error.code}


def _line() -> list[Case]:
    def case(name: str, comment: str, kind: int, *fields: object) -> Case:
        return _case(name, comment, GREETING + encode(kind, *fields))

    return [
        _case("greeting", "subscribes to nothing", GREETING),
        _case("greeting-patterns", "all patterns at once", encode(frames.SUBSCRIBE, "a.*", True, "**", False)),
        case("unsubscribe", "of what was never subscribed too", frames.UNSUBSCRIBE, "a.b"),
        case("request", "without a key", frames.REQUEST, 1, "maths.add", 5000, None, [2, 3]),
        case("request-key", "with a key", frames.REQUEST, 9, "maths.add", 1, "k", {"a": b"\0"}),
        case("reply", "to a request under way", frames.REPLY, 2, 5),
        case("fail", "of a request under way", frames.FAIL, 1, "fabric.busy", "later"),
        case("cancel-unknown", "of a request that has been answered: ignored", frames.CANCEL, 8),
        case("deliver", "with its floor", frames.DELIVER, OUTBOX, 3, 5, "shop.order", "tea"),
        case("ack", "of a delivery under way", frames.ACK, OUTBOX, 7),
        case("refuse", "of a delivery under way", frames.REFUSE, OUTBOX, 7, "fabric.no-handler"),
        _case("reply-twice", "the second is ignored", GREETING + encode(frames.REPLY, 1, 5) * 2),
    ]


def _refused() -> list[Case]:
    def case(name: str, comment: str, *payloads: bytes) -> Case:
        return _case(name, comment, GREETING + b"".join(payloads))

    request = encode(frames.REQUEST, 1, "maths.add", 5000, None, None)
    many = [part for number in range(PATTERNS + 1) for part in (f"a.{number}", False)]
    return [
        _case("no-greeting", "the first frame must be SUBSCRIBE", request),
        case("empty", "a length of 0", framed(b"")),
        case("too-long", "a length beyond 1 MiB, refused before its bytes come", b"\0\x10\0\1"),
        case("no-array", "a map", framed(pack({"kind": 1}))),
        case("no-kind", "an empty array", framed(pack([]))),
        case("unknown-kind", "the kind 10", encode(10, 1)),
        case("missing-field", "CANCEL without an id", encode(frames.CANCEL)),
        case("id-zero", "ids begin with 1", encode(frames.CANCEL, 0)),
        case("id-boolean", "true is not 1", encode(frames.CANCEL, True)),
        case("id-repeated", "ids grow", request, request),
        case("reply-never-asked", "an id that was not used yet", encode(frames.REPLY, 3, None)),
        case("ack-never-sent", "a delivery that is not under way", encode(frames.ACK, OUTBOX, 8)),
        case("floor-above", "nothing is sent below its own floor", encode(frames.DELIVER, OUTBOX, 6, 5, "a", 1)),
        case("deliver-twice", "unanswered", *[encode(frames.DELIVER, OUTBOX, 1, 5, "a", 1)] * 2),
        case("outbox-short", "15 bytes", encode(frames.ACK, OUTBOX[1:], 7)),
        case("deadline-zero", "nobody could answer", encode(frames.REQUEST, 1, "a.b", 0, None, 1)),
        case("key-empty", "a key has a character", encode(frames.REQUEST, 1, "a.b", 1, "", 1)),
        case("operation-bad", "one word", encode(frames.REQUEST, 1, "add", 1, None, 1)),
        case("code-bad", "a code has a room", encode(frames.FAIL, 1, "busy", "")),
        case("pattern-bad", "** only stands last", encode(frames.SUBSCRIBE, "**.a", False)),
        case("topic-pattern", "a delivery's topic is no pattern", encode(frames.DELIVER, OUTBOX, 1, 5, "a.*", 1)),
        case("too-many-patterns", "257", encode(frames.SUBSCRIBE, *many)),
        case(
            "too-many-deliveries",
            "65 unanswered",
            *(encode(frames.DELIVER, OUTBOX, 1, number, "a", 1) for number in range(1, WINDOW + 2)),
        ),
        case("extension", "an extension type as body", framed(b"\x93\x04\x01\xd4\x05\x00")),
        case("truncated", "an array that claims more than the frame has", framed(b"\x93\x04\x01")),
    ]


def _topics() -> list[Case]:
    def case(name: str, comment: str, data: bytes) -> Case:
        return _case(name, comment, data, "topics")

    item = pack("a.b") + pack({"n": 1})
    return [
        case("publications", "two of one frame", encode_publications([item, item])),
        case("publications-control", "taken, though no node should choose it", framed(pack(["a.\x1b", 1]))),
        case("publications-empty", "a frame publishes something", framed(pack([]))),
        case("publications-odd", "a topic without a body", framed(pack(["a"]))),
        case("publications-pattern", "not a topic", framed(pack(["a.**", 1]))),
        case("publications-list", "a list as topic", framed(pack([["a"], 1]))),
    ]


def _numbers() -> list[Case]:
    """Floors and numbers told in turn (negative: a floor), and what is kept then."""
    found: list[Case] = []
    for name, turns in {
        "in-order": [1, 2, 3],
        "gap": [1, 3, 4, 7],
        "gap-filled": [1, 3, 2],
        "floor": [1, 3, 5, -4],
        "floor-beyond": [2, 9, -20, 21],
        "below-floor": [-10, 5, 10],
    }.items():
        numbers = Numbers()
        for turn in turns:
            numbers = numbers.with_number(turn) if turn > 0 else numbers.raised(-turn)
        kept = {"floor": numbers.floor, "ranges": [list(ends) for ends in numbers.ranges]}
        found.append({"name": name, "turns": turns, "kept": kept})
    return found


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
