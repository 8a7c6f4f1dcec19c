"""Which links a machine has, and what it announces there: private places only, one port."""

from ipaddress import ip_network
from types import SimpleNamespace

import ifaddr
import pytest

from nzcore.net import lan as module
from nzcore.net.lan import Lan, local_lan, near_hosts, scope_name
from nzcore.proto.identity.address import Address

LOOPBACK = ("lo", 1, [("127.0.0.1", 8), (("::1", 0, 0), 128)])
HOME = ("eth0", 2, [("192.168.7.2", 24), (("fe80::2", 0, 2), 64), (("fd00:7::2", 0, 0), 64)])
WORLD = ("eth1", 3, [("203.0.114.9", 24), (("2a00:1::9", 0, 0), 64)])
TUNNEL = ("wg0", 4, [("10.9.0.2", 24)])


@pytest.fixture
def machine(monkeypatch):
    def has(*interfaces):
        adapters = [
            SimpleNamespace(
                nice_name=name, index=number, ips=[SimpleNamespace(ip=ip, network_prefix=bits) for ip, bits in ips]
            )
            for name, number, ips in interfaces
        ]
        monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
        monkeypatch.setattr(module, "_takes_multicast", lambda name: name != "wg0")

    return has


def test_links_are_private_and_take_multicast(machine):
    machine(LOOPBACK, HOME, WORLD, TUNNEL)
    found = local_lan()
    assert found.links.networks == (ip_network("192.168.7.0/24"), ip_network("fd00:7::/64"))
    assert found.links.scopes == ("eth0",)
    assert found.speak_on == ("192.168.7.2", "fe80::2")
    assert not found.is_loopback


@pytest.mark.parametrize("others", [(), (WORLD,), (TUNNEL,)])
def test_a_machine_without_a_local_network_has_loopback_and_is_alone(machine, others):
    machine(LOOPBACK, *others)
    found = local_lan()
    assert found.links.networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert (found.speak_on, found.is_loopback, found.is_alone) == (("127.0.0.1", "::1"), True, True)


def test_loopback_can_be_asked_for(machine):
    machine(LOOPBACK, HOME)
    found = local_lan(only_loopback=True)
    assert (found.speak_on, found.is_loopback, found.is_alone) == (("127.0.0.1", "::1"), True, False)


def test_a_link_local_address_on_two_interfaces_is_spoken_from_by_their_numbers(machine):
    machine(("br0", 7, [(("fe80::1", 0, 7), 64)]), ("br1", 8, [(("fe80::1", 0, 8), 64)]))
    found = local_lan()
    assert found.speak_on == (7, 8)
    assert found.links.scopes == ("br0", "br1")


def test_private_hosts_of_the_commonest_port_are_announced_without_scopes():
    addresses = [
        Address("192.168.7.2", 4500),
        Address("fe80::2%eth0", 4500),
        Address("192.168.7.2", 4600),
        Address("203.0.114.9", 4600),
        Address("2a00:1::9", 4600),
        Address("127.0.0.1", 4600),
    ]
    assert near_hosts(addresses, Lan(module.Links(), ())) == (4500, ("192.168.7.2", "fe80::2"))
    assert near_hosts(addresses[3:], Lan(module.Links(), ())) == (0, ())
    assert near_hosts(addresses, Lan(module.Links(), (), is_loopback=True)) == (4600, ("127.0.0.1",))


def test_listening_on_all_addresses_announces_each(machine):
    machine(LOOPBACK, HOME, WORLD)
    lan = local_lan()
    assert near_hosts([Address("0.0.0.0", 4500)], lan) == (4500, ("192.168.7.2",))
    assert set(near_hosts([Address("::", 4500)], lan)[1]) == {"fe80::2", "fd00:7::2"}


@pytest.mark.parametrize(
    ("host", "named"),
    [
        *(("fe80::2", "fe80::2"), ("fe80::2%eth0", "fe80::2%eth0"), ("192.168.7.2", "192.168.7.2")),
        *(("fe80::2%999999", "fe80::2"), ("fe80::2%99999999999999999999", "fe80::2"), ("::1%1", "::1%lo")),
    ],
)
def test_a_number_of_an_interface_becomes_its_name(host, named, monkeypatch):
    def name(number):
        if number > 0x7FFFFFFF:
            raise OverflowError
        if number != 1:
            raise OSError
        return "lo"

    monkeypatch.setattr(module.socket, "if_indextoname", name)
    assert scope_name(host) == named
