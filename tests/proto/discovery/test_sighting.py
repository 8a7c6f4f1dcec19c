"""Whatever the network says, only places on the hearer's own links come out of it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import PeerError, UsageError
from nzcore.proto.discovery.sighting import MAX_ADDRESSES, SERVICE, Heard, Links, check_window, read_sighting

LINKS = Links((ip_network("192.168.7.0/24"), ip_network("fd00:7::/64")), ("eth0", "wlan0"))
HOSTS = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(network="192.168.7.0/24").map(str),
    st.ip_addresses(network="fe80::/10").map(lambda ip: f"{ip}%eth0"),
    st.text(max_size=80),
)


def heard(*hosts, instance="bob-k3f7", port=4500, properties=None):
    return Heard(f"{instance}.{SERVICE}", port, hosts, {b"v": b"1"} if properties is None else properties)


@given(
    st.text(max_size=80),
    st.integers(-1, 70_000),
    st.lists(HOSTS, max_size=40),
    st.dictionaries(st.binary(max_size=3), st.none() | st.binary(max_size=3), max_size=3) | st.just({b"v": b"1"}),
)
def test_anything_is_a_sighting_on_the_links_or_refused(instance, port, hosts, properties):
    try:
        seen = read_sighting(heard(*hosts, instance=instance, port=port, properties=properties), LINKS)
    except PeerError:
        return
    assert 0 < len(seen.addresses) <= MAX_ADDRESSES
    for address in seen.addresses:
        host, _, scope = address.host.partition("%")
        assert address.port == port
        assert scope in LINKS.scopes or any(
            ip_address(host) in network for network in LINKS.networks if network.version == ip_address(host).version
        )


def test_a_link_local_address_without_a_scope_may_be_on_any_link():
    seen = read_sighting(heard("fe80::1"), LINKS)
    assert [address.host for address in seen.addresses] == ["fe80::1%eth0", "fe80::1%wlan0"]


def test_loopback_is_near_only_where_there_is_nothing_else():
    with pytest.raises(PeerError):
        read_sighting(heard("127.0.0.1"), LINKS)
    assert read_sighting(heard("127.0.0.1"), Links((ip_network("127.0.0.0/8"),))).addresses


@pytest.mark.parametrize("instance", ["", "a" * 64, "bob\n", "b\u202eob", "mfrggzdfmztwq2lkmfrggzdfmy"])
def test_what_could_be_misread_or_is_a_pseudonym_names_no_window(instance):
    with pytest.raises(UsageError) as caught:
        check_window(instance)
    assert caught.value.code == "discovery.bad-argument"


@pytest.mark.parametrize("instance", ["bob-k3f7", "Zoë-abcd", "a" * 63])
def test_names_that_people_can_read_do(instance):
    assert check_window(instance) == instance
