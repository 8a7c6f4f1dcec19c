"""Names are recognised by whoever has the key, and say nothing to anybody else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.proto.discovery.pseudonym import DiscoveryKey, Pseudonym, recognise

KEYS = st.binary(min_size=32, max_size=32).map(DiscoveryKey)
RANDOM = st.binary(min_size=8, max_size=8)
PORTS = st.integers(1, 65535)


@given(KEYS, RANDOM, PORTS)
def test_the_key_recognises_the_name_in_either_case(key, r, port):
    text = Pseudonym.make(key, r, port).text
    assert len(text) == 26
    for spelling in (text, text.upper()):
        assert Pseudonym.parse(spelling).is_of(key, port)


@given(KEYS, KEYS, RANDOM, PORTS, PORTS)
def test_another_key_or_another_port_does_not(key, other, r, port, elsewhere):
    name = Pseudonym.make(key, r, port)
    assert name.is_of(other, port) == (key == other)
    assert name.is_of(key, elsewhere) == (port == elsewhere)
    assert recognise(name, port, [("other", other), ("own", key)]) == ("other" if key == other else "own")


@given(KEYS, RANDOM, RANDOM, PORTS)
def test_names_of_one_node_share_nothing(key, r, other, port):
    one, two = Pseudonym.make(key, r, port), Pseudonym.make(key, other, port)
    assert (one.tag == two.tag) == (r == other)


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused(text):
    with suppress(PeerError):
        assert Pseudonym.parse(text).text == text.lower()


@pytest.mark.parametrize(("r", "port"), [(bytes(7), 1), (bytes(8), 0), (bytes(8), 65536)])
def test_a_caller_that_breaks_the_contract_is_told(r, port):
    with pytest.raises(UsageError) as caught:
        Pseudonym.make(DiscoveryKey.generate(), r, port)
    assert caught.value.code == "discovery.bad-argument"


def test_a_key_does_not_show_itself():
    key = DiscoveryKey.generate()
    assert key.reveal().hex() not in repr(key)
