"""Any bytes as what the local network says, read by `nzcore.proto.discovery`: names, ports, addresses, properties."""

from contextlib import suppress
from ipaddress import ip_address, ip_network

from nzcore.base.errors import PeerError
from nzcore.proto.discovery.pseudonym import Pseudonym
from nzcore.proto.discovery.sighting import MAX_ADDRESSES, SERVICE, Heard, Links, read_instance, read_sighting

_LINKS = Links((ip_network("192.168.7.0/24"), ip_network("fd00:7::/64")), ("eth0",))


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and whatever place comes out is on the links that went in."""
    text = data.decode("utf-8", "replace")
    with suppress(PeerError):
        assert Pseudonym.parse(text).text == text.lower()
    for service in (text, f"{text}.{SERVICE}"):
        with suppress(PeerError):
            read_instance(service)
    port, hosts = int.from_bytes(data[:2], "big"), text[2:].split("\n")
    packed = [data[i : i + 4] for i in range(0, len(data) - 3, 4)] + [data[i : i + 16] for i in range(0, len(data), 16)]
    hosts += [str(ip_address(one)) for one in packed[:8] if len(one) in (4, 16)]
    for properties in ({b"v": b"1"}, {data[:9]: data[9:]}):
        with suppress(PeerError):
            seen = read_sighting(Heard(f"bob-k3f7.{SERVICE}", port, hosts, properties), _LINKS)
            assert 0 < len(seen.addresses) <= MAX_ADDRESSES
            for address in seen.addresses:
                host, _, scope = address.host.partition("%")
                ip = ip_address(host)
                assert scope in _LINKS.scopes or any(ip in net for net in _LINKS.networks if net.version == ip.version)
