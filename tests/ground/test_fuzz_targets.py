"""A short, seeded slice of `tools/prove fuzz`, and proof that its fuzzer would notice."""

from itertools import islice
from random import Random

import pytest

from nzcore.base.errors import PeerError
from tools.proofs import mutation, targets

INPUTS = 400  # a target
SEEDS = 150  # of these, taken from vectors as they are; the rest are mutations of them
SEED = 20_261_120


@pytest.mark.parametrize("name", targets.names())
def test_any_bytes_end_in_a_value_or_a_peer_error(name):
    target, corpus = targets.load(name), targets.seeds()
    begin = Random(SEED).sample(corpus, min(SEEDS, len(corpus)))
    for data in islice(mutation.inputs(begin, SEED), INPUTS):
        finding = mutation.run(target, data)
        assert finding is None, f"{finding.error} for {finding.data.hex()}"


def test_every_parser_package_has_a_target():
    named = " ".join((targets.ROOT / "tools" / "fuzz" / f"{name}.py").read_text() for name in targets.names())
    for package in ("codec", "proto.identity", "proto.noise", "ipc", "control", "store"):
        assert f"nzcore.{package}" in named, package


def test_the_fuzzer_finds_a_planted_fault():
    def target(data: bytes) -> None:
        if b"\xff" in data:
            raise ValueError("planted")

    fed, finding = mutation.fuzz(target, [b"harmless"], seed=SEED, seconds=10)
    assert finding is not None
    assert b"\xff" in finding.data
    assert finding.error == "ValueError: planted"
    assert fed > 1


def test_the_fuzzer_gives_up_on_an_input_that_hangs(monkeypatch):
    def target(data: bytes) -> None:
        while True:
            try:
                int(data.hex() or "0", 16)
            except Exception as error:
                raise PeerError("base.bad-text") from error

    monkeypatch.setattr(mutation, "SLOWEST_S", 0.05)
    finding = mutation.run(target, b"anything")
    assert finding is not None
    assert "took more than" in finding.error


def test_the_same_seed_gives_the_same_inputs():
    def first(seed: int) -> list[bytes]:
        return list(islice(mutation.inputs([b"abc", b"defgh"], seed), 300))

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert len(set(first(1))) > 150
