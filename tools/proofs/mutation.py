"""A small seeded mutation fuzzer: no coverage feedback, no dependency, the same inputs for the same seed."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from types import FrameType
from typing import NamedTuple

SLOWEST_S = (
    2.0  # one input may not take longer: "within a bounded time" of the house rules, with room for slow machines
)
MAX_BYTES = 1 << 16
INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00" * 8)


class Finding(NamedTuple):
    """An input that a target answered with something other than a value or PeerError."""

    data: bytes
    error: str


class TooSlow(BaseException):
    """Raised into a target that exceeds its time; not an Exception, so that nothing on the way swallows it."""


def inputs(corpus: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Endless: first the corpus itself, then mutations of it and, one time in eight, plain random bytes."""
    yield from corpus
    random = Random(seed)
    while True:
        if not corpus or random.randrange(8) == 0:
            yield random.randbytes(random.choice((1, 2, 3, 8, 33, 64, 300, 1250, 5000)))
            continue
        data = bytearray(random.choice(corpus))
        for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
            _mutate(data, corpus, random)
        yield bytes(data[:MAX_BYTES])


def _mutate(data: bytearray, corpus: Sequence[bytes], random: Random) -> None:
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 1, 2, 4, 16)))
    match random.randrange(7):
        case 0 if at < len(data):
            data[at] ^= 1 << random.randrange(8)
        case 1:
            data[at:end] = random.randbytes(end - at)
        case 2:
            data[at:at] = random.choice(INTERESTING)
        case 3:
            del data[at:end]
        case 4:
            del data[at:]
        case 5:
            data[at:at] = data[at:end] * random.choice((1, 2, 50))
        case _:
            other = random.choice(corpus)
            data[at:] = other[random.randrange(len(other) + 1) :]


def run(target: Callable[[bytes], None], data: bytes) -> Finding | None:
    """Feeds one input, on the main thread, within SLOWEST_S."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, SLOWEST_S)
    try:
        target(data)
    except TooSlow:
        return Finding(data, f"took more than {SLOWEST_S} s")
    except Exception as error:  # the crash boundary of the fuzzer: whatever escapes a target is its finding
        return Finding(data, f"{type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return None


def fuzz(
    target: Callable[[bytes], None], corpus: Sequence[bytes], *, seed: int, seconds: float
) -> tuple[int, Finding | None]:
    """Feeds inputs until `seconds` have passed or one is a finding. Returns how many were fed, and the finding."""
    deadline = time.monotonic() + seconds
    for fed, data in enumerate(inputs(corpus, seed), start=1):
        finding = run(target, data)
        if finding or time.monotonic() >= deadline:
            return fed, finding
    raise AssertionError("inputs are endless")
