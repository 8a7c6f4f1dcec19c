"""Whatever comes, in whatever order: a value, a PeerError for them, a UsageError for us, and never a broken machine."""

import hmac

from hypothesis import given, settings
from hypothesis import strategies as st

from nzcore.base.errors import NzError, PeerError, UsageError
from nzcore.proto.noise.patterns import parse
from nzcore.proto.noise.symmetric import hkdf
from tests.proto.noise.noise_cases import VARIED
from tools.fuzz.noise import target
from tools.vectors.noise import exchange, pair


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(2, 3))
def test_the_spelled_out_hkdf_is_the_one_of_the_library(key: bytes, material: bytes, count: int) -> None:
    secret = hmac.digest(key, material, "sha256")
    expected = [b""]
    for number in range(1, count + 1):
        expected.append(hmac.digest(secret, expected[-1] + bytes([number]), "sha256"))
    assert list(hkdf(key, material, count)) == expected[1:]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1400))
def test_the_fuzz_target_swallows_nothing_but_peer_errors(data: bytes) -> None:
    target(data)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(VARIED), at=st.integers(0, 2), data=st.binary(max_size=2600))
def test_any_bytes_in_place_of_any_message_end_in_a_value_or_a_peer_error(name: str, at: int, data: bytes) -> None:
    one, two = pair(parse(name))
    at = min(at, len(one.pattern.messages) - 1)
    exchange(one, two, at)
    writer, reader = (one, two) if at % 2 == 0 else (two, one)
    genuine = writer.write_message(b"genuine")
    try:
        reader.read_message(data)
    except PeerError:
        assert reader.read_message(genuine) == b"genuine"
        assert writer.finished == reader.finished


class Steps:
    """Which side may do what, told independently of the machine: the model of the test below."""

    def __init__(self, count: int) -> None:
        self.count, self.next, self.pending = count, 0, False
        self.split: set[int] = set()

    def may_write(self, side: int) -> bool:
        return side not in self.split and self.next < self.count and not self.pending and self.next % 2 == side

    def awaits(self, side: int) -> bool:
        own = self.next + (self.pending and self.next % 2 == side)  # the writer is a message ahead of the reader
        return side not in self.split and own < self.count and own % 2 != side

    def may_read(self, side: int) -> bool:
        return self.awaits(side) and self.pending and self.next % 2 != side

    def may_split(self, side: int) -> bool:
        done = self.next == self.count or (self.next == self.count - 1 and self.pending and self.next % 2 == side)
        return done and side not in self.split


@settings(max_examples=100, deadline=None)
@given(
    calls=st.lists(st.tuples(st.sampled_from(["write", "read", "split", "garbage"]), st.integers(0, 1)), max_size=30)
)
def test_any_order_of_calls_succeeds_exactly_where_the_pattern_allows_it(calls: list[tuple[str, int]]) -> None:
    sides, model, message = pair(parse("XXhfs+psk0")), Steps(3), b""
    outcome: type[NzError] | None
    for call, side in calls:
        machine = sides[side]
        may = {"write": model.may_write, "read": model.may_read, "split": model.may_split}
        allowed = call in may and may[call](side)
        try:
            if call == "write":
                message = machine.write_message()
            elif call == "split":
                machine.split("NZ-CHANNEL-01 export")
            else:
                machine.read_message(message if call == "read" else b"\0" * 1300)
        except NzError as error:
            outcome = type(error)
        else:
            outcome = None
        if allowed:
            assert outcome is None
        else:
            theirs = call in ("read", "garbage") and model.awaits(side)
            assert outcome is (PeerError if theirs else UsageError)
            continue
        if call == "write":
            model.pending = True
        elif call == "read":
            model.pending, model.next = False, model.next + 1
        else:
            model.split.add(side)
