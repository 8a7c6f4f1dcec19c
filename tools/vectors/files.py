"""Makes vectors/files.json: whole transfers and refused ones, frame by frame, and names made harmless (spec/files.md).

Each transfer is what one reader receives: the sender's bytes for a receiver, the receiver's for a sender.
"""

from nzcore.base.errors import PeerError
from nzcore.codec.frames import pack
from nzcore.crypto.hashing import sha256
from nzcore.proto.files import frames
from nzcore.proto.files.frames import frame
from nzcore.proto.files.machine import Event, Receiver, Sender
from nzcore.proto.files.manifest import MAX_SIZE, Entry, Have, Kind, Manifest, places
from nzcore.proto.files.names import numbered, safe_name

Case = dict[str, object]

TRANSFER = sha256(b"NZ-VECTORS-01 files transfer")[:16]
TREE = [
    Entry(("photos",), Kind.FOLDER, 0),
    Entry(("photos", "1.jpg"), Kind.FILE, 5),
    Entry(("photos", "empty"), Kind.FILE, 0),
    Entry(("notes.txt",), Kind.FILE, 3),
]
KNOWN = Have(1, 4, sha256(b"1234"))
STREAM_LIMIT = 8


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/files.md",
        "comment": "bytes are hex; a receiver's case begins with nothing, a sender's after it has sent its OFFER",
        "transfer": TRANSFER.hex(),
        "stream_limit": STREAM_LIMIT,
        "cases": [*_good(), *_bad_offers(), *_bad_turns(), *_for_senders(), *_places()],
        "names": [_name(name) for name in NAMES],
    }


def replay(case: Case) -> list[dict[str, object]]:
    """What the reader of a case makes of its bytes. *Raises* PeerError."""
    data = bytes.fromhex(str(case["bytes"]))
    if case["reader"] == "sender":
        entries = [Entry(tuple(path), Kind(kind), size) for path, kind, size in case["manifest"]]  # type: ignore[attr-defined]  # as `_entries` writes them
        return [_event(event) for event in Sender(Manifest(entries), TRANSFER).receive(data)]
    receiver = Receiver()
    receiver.stream_limit = STREAM_LIMIT
    split = int(str(case["offer_bytes"]))
    events = receiver.receive(data[:split])
    if split < len(data):
        if case["have"]:
            receiver.have([KNOWN])
        receiver.go()
        events += receiver.receive(data[split:])
    return [_event(event) for event in events]


def _event(event: tuple[object, ...]) -> dict[str, object]:
    kind = event[0]
    assert isinstance(kind, Event)
    facts = [fact.hex() if isinstance(fact, bytes) else fact for fact in event[1:]]
    return {"event": kind.name, "facts": facts}


def _entries(entries: list[Entry]) -> list[object]:
    return [[list(entry.path), int(entry.kind), entry.size] for entry in entries]


def _offer(entries: list[object], *, more: bool = False, transfer: bytes = TRANSFER) -> bytes:
    return frame(frames.OFFER, pack({"transfer": transfer, "entries": entries, "more": more}))


def _start(index: int, offset: int) -> bytes:
    return frame(frames.START, frames.START_PAYLOAD.pack(index, offset))


def _file(index: int, content: bytes, offset: int = 0) -> bytes:
    data = frame(frames.DATA, content[offset:]) if content[offset:] else b""
    return _start(index, offset) + data + frame(frames.END, sha256(content))


def _case(name: str, comment: str, offer: bytes, rest: bytes = b"", *, have: bool = False) -> Case:
    case: Case = {
        "name": name,
        "comment": comment,
        "reader": "receiver",
        "bytes": (offer + rest).hex(),
        "offer_bytes": len(offer),
        "have": have,
    }
    return _judged(case)


def _judged(case: Case) -> Case:
    try:
        return {**case, "expect": "ok", "events": replay(case)}
    except PeerError as error:
        return {**case, "expect": error.code}


def _good() -> list[Case]:
    offer = _offer(_entries(TREE))
    everything = _file(1, b"12345") + _file(2, b"") + _file(3, b"abc") + frame(frames.FINISH)
    pages = _offer(_entries(TREE[:2]), more=True) + _offer(_entries(TREE[2:]))
    stream = _offer(_entries([Entry(("stdin",), Kind.STREAM, 0)]))
    return [
        _case("whole", "a folder, a file in it, an empty one, and a file beside it", offer, everything),
        _case("two-pages", "the manifest in two OFFER frames", pages, everything),
        _case("busy", "signs of life count for nothing", offer + frame(frames.BUSY), frame(frames.BUSY) + everything),
        _case(
            "resumed",
            "the receiver said that it has 4 bytes of file 1, the sender goes on there",
            offer,
            _file(1, b"12345", 4) + _file(2, b"") + _file(3, b"abc") + frame(frames.FINISH),
            have=True,
        ),
        _case("begun-anew", "the receiver has 4 bytes, which are others now: offset 0", offer, everything, have=True),
        _case("stream", "a file of unknown size", stream, _file(0, b"12345678") + frame(frames.FINISH)),
    ]


def _bad_offers() -> list[Case]:
    bad: list[tuple[str, str, list[object]]] = [
        ("parent", "a path that climbs", [[["..", "x"], 0, 1]]),
        ("separator", "a separator inside a name", [[["a/b"], 0, 1]]),
        ("nul", "a zero byte", [[["a\0"], 0, 1]]),
        ("empty-name", "", [[[""], 0, 1]]),
        ("no-name", "", [[[], 0, 1]]),
        ("long-name", "256 bytes", [[["x" * 256], 0, 1]]),
        ("deep", "33 names", [[["d"] * 33, 0, 1]]),
        ("negative", "", [[["a"], 0, -1]]),
        ("too-large", "beyond 2^53", [[["a"], 0, MAX_SIZE + 1]]),
        ("sum-too-large", "", [[["a"], 0, MAX_SIZE], [["b"], 0, 1]]),
        ("folder-with-size", "", [[["a"], 1, 1]]),
        ("twice", "one path twice", [[["a"], 0, 1], [["a"], 0, 1]]),
        ("in-a-file", "a file as a folder", [[["a"], 0, 1], [["a", "b"], 0, 1]]),
        ("no-folder", "a folder that was not named before", [[["a", "b"], 0, 1]]),
        ("nothing", "an empty manifest", []),
        ("unknown-kind", "", [[["a"], 3, 1]]),
    ]
    mixed = _offer(_entries(TREE[:2]), more=True) + _offer(_entries(TREE[2:]), transfer=bytes(16))
    return [
        *(_case(f"offer-{name}", comment, _offer(entries)) for name, comment, entries in bad),
        _case("offer-mixed", "pages of two transfers", mixed),
        _case("offer-short-transfer", "15 bytes", _offer(_entries(TREE), transfer=bytes(15))),
        _case("offer-unreadable", "no MessagePack", frame(frames.OFFER, b"\xc1")),
    ]


def _bad_turns() -> list[Case]:
    offer = _offer(_entries(TREE))
    bad = [
        ("first-a-folder", "file 0 is a folder", _start(0, 0)),
        ("skipped", "file 1 comes before file 3", _start(3, 0)),
        ("no-such-file", "", _start(99, 0)),
        ("bad-offset", "nothing was said of 2 bytes", _start(1, 2)),
        ("data-without-start", "", frame(frames.DATA, b"x")),
        ("end-without-start", "", frame(frames.END, bytes(32))),
        ("start-in-a-file", "", _start(1, 0) + _start(2, 0)),
        ("too-many-bytes", "6 of 5", _start(1, 0) + frame(frames.DATA, b"123456")),
        ("too-few-bytes", "4 of 5", _start(1, 0) + frame(frames.DATA, b"1234") + frame(frames.END, bytes(32))),
        ("empty-data", "", _start(1, 0) + frame(frames.DATA)),
        ("short-digest", "31 bytes", _start(1, 0) + frame(frames.DATA, b"12345") + frame(frames.END, bytes(31))),
        ("unfinished", "FINISH before all files", _file(1, b"12345") + frame(frames.FINISH)),
        ("receivers-word", "GO is the receiver's to say", frame(frames.GO)),
        ("unknown-frame", "kind 11", frames.HEADER.pack(11, 0)),
        ("long-control", "65,537 bytes", frames.HEADER.pack(frames.OFFER, frames.CONTROL_BYTES + 1)),
        ("long-data", "1 MiB and 1 byte", _start(1, 0) + frames.HEADER.pack(frames.DATA, frames.DATA_BYTES + 1)),
        ("busy-with-payload", "", frame(frames.BUSY, b"x")),
    ]
    stream = _offer(_entries([Entry(("stdin",), Kind.STREAM, 0)]))
    return [
        *(_case(name, comment, offer, rest) for name, comment, rest in bad),
        _case(
            "stream-too-long", "9 bytes where 8 are allowed", stream, _start(0, 0) + frame(frames.DATA, b"123456789")
        ),
    ]


def _for_senders() -> list[Case]:
    have, go = frames.message(frames.HAVE, [KNOWN]), frame(frames.GO)
    said: list[tuple[str, str, bytes]] = [
        ("go", "", go),
        ("have-and-go", "", have + go),
        (
            "receipt-at-once",
            "all came in an earlier attempt",
            frames.message(frames.RECEIPT, frames.Receipt(["photos"])),
        ),
        ("refused", "", frames.message(frames.REFUSE, frames.Refusal("files.disk-full"))),
        ("have-of-a-folder", "", frames.message(frames.HAVE, [Have(0, 1, bytes(32))])),
        ("have-too-much", "6 of 5 bytes", frames.message(frames.HAVE, [Have(1, 6, bytes(32))])),
        ("have-nothing", "0 bytes", frames.message(frames.HAVE, [Have(1, 0, bytes(32))])),
        ("have-backwards", "", frames.message(frames.HAVE, [Have(3, 1, bytes(32)), KNOWN])),
        ("have-short-digest", "", frames.message(frames.HAVE, [Have(1, 1, bytes(31))])),
        ("have-after-go", "", go + have),
        ("receipt-too-early", "", go + frames.message(frames.RECEIPT, frames.Receipt([]))),
        ("senders-word", "", frame(frames.FINISH)),
    ]
    return [
        _judged(
            {
                "name": f"sender-{name}",
                "comment": comment,
                "reader": "sender",
                "manifest": _entries(TREE),
                "bytes": data.hex(),
            }
        )
        for name, comment, data in said
    ]


def _places() -> list[Case]:
    entries = [
        Entry(("A",), Kind.FOLDER, 0),
        Entry(("A", "x?"), Kind.FILE, 1),
        Entry(("A", "x*"), Kind.FILE, 1),
        Entry(("a",), Kind.FOLDER, 0),
        Entry((".git",), Kind.FOLDER, 0),
        Entry((".git", "CON"), Kind.FILE, 1),
    ]
    offer = _offer(_entries(entries))
    case = _case("places", "where each entry is written: names are rewritten and told apart", offer)
    return [{**case, "places": [list(place) for place in places(Manifest(entries))]}]


NAMES = (
    *("letter.txt", "Grüße.pdf", ".bashrc", "...", "-rf", "~", "a\\b", "C:x", "new\nline", "\x1b[31m", "gpj.\u202eexe"),
    *("CON", "nul.txt", "Com1.tar.gz", "lpt¹", "console.log", "end. . ", " start", "e\u0301", "x" * 300 + ".jpeg"),
)


def _name(name: str) -> dict[str, str]:
    safe = safe_name(name)
    return {"name": name, "safe": safe, "second": numbered(safe, 2)}
