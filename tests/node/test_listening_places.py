"""What an address to listen on means: the internet is never let in by a wildcard."""

import pytest

from nzcore.base.errors import UnavailableError
from nzcore.net.interfaces import Interface, reach_of
from nzcore.node.config import Net
from nzcore.node.network import NetService, meant
from nzcore.proto.identity.address import Address

HOSTS = ("127.0.0.1", "10.0.0.2", "8.8.8.8", "::1", "fd00::2")


class Manager:
    """Remembers where it was told to listen."""

    def __init__(self) -> None:
        self.told: list[Address] = []

    def listen(self, address: Address) -> Address:
        self.told.append(address)
        return address

    def listening(self) -> list[Address]:
        return self.told


@pytest.fixture(autouse=True)
def interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an IPv4 address that the internet reaches."""
    monkeypatch.setattr(
        "nzcore.node.network.local_interfaces", lambda: [Interface(host, reach_of(host)) for host in HOSTS]
    )


def service(manager: Manager, *listen: str, public: bool = False) -> NetService:
    settings = Net(listen=listen, public=public)
    return NetService(manager, None, None, None, settings)  # type: ignore[arg-type]  # only the manager is asked


def test_a_wildcard_means_every_address_of_its_family() -> None:
    assert [one.host for one in meant(Address("0.0.0.0", 7001))] == ["127.0.0.1", "10.0.0.2", "8.8.8.8"]
    assert [one.text for one in meant(Address("::", 7001))] == ["tcp://[::1]:7001", "tcp://[fd00::2]:7001"]
    assert meant(Address("10.0.0.2", 7001)) == [Address("10.0.0.2", 7001)]


@pytest.mark.parametrize("text", ["tcp://0.0.0.0:7001", "tcp://8.8.8.8:7001"])
def test_what_the_internet_reaches_needs_to_be_meant(text: str) -> None:
    manager = Manager()
    with pytest.raises(UnavailableError, match=r"node\.public-address"):
        service(manager, text)._listen_where_told()
    assert manager.told == []
    service(manager, text, public=True)._listen_where_told()
    assert [one.text for one in manager.told] == [text]


def test_the_addresses_told_to_others_are_never_wildcards() -> None:
    manager = Manager()
    told = service(manager, "tcp://[::]:7001", "tcp://10.0.0.2:7001")
    told._listen_where_told()
    assert told.listening() == ["tcp://10.0.0.2:7001", "tcp://[fd00::2]:7001", "tcp://[::1]:7001"]
