"""What only real sockets show: last words that don't fit, descriptors that run out, addresses that can't be had."""

import errno
import socket

import pytest
import trio

from nzcore.base.errors import UnavailableError
from nzcore.net import tcp
from nzcore.net.tcp import TcpTransport, TcpWire
from nzcore.proto.identity.address import Address
from nzcore.testing.conformance import Ear

pytestmark = pytest.mark.real


@pytest.fixture
async def pair(nursery):
    """Two ends of one TCP connection, as wires."""
    accepted = []
    transport = TcpTransport()
    listener = transport.listen(Address("127.0.0.1", 0), nursery.start_soon)
    nursery.start_soon(listener.accept, lambda wire, host: accepted.append(wire))
    wire = await transport.dial(listener.address, nursery.start_soon)
    with trio.fail_after(5):
        while not accepted:
            await trio.lowlevel.checkpoint()
    yield wire, accepted[0]
    wire.close(abort=True)
    accepted[0].close(abort=True)
    listener.close()
    nursery.cancel_scope.cancel()


async def test_last_words_that_do_not_fit_are_still_sent(pair):
    near, far = Ear(pair[0]), Ear(pair[1])
    far.wire.pause()
    near.say(bytes(10_000_000))
    assert near.left
    near.wire.close(rest=[*near.left, b"the end"])
    far.wire.resume()
    with trio.fail_after(10):
        await far.until(lambda: bool(far.ends))
    assert len(far.heard) == 10_000_007
    assert far.heard.endswith(b"the end")
    assert far.ends == [None]


async def test_closing_in_the_callback_that_brought_the_bytes_is_fine(pair):
    class Brusque(Ear):
        def on_bytes(self, data):
            super().on_bytes(data)
            self.wire.close(rest=[b"enough"])

    near, far = Ear(pair[0]), Brusque(pair[1])
    for _ in range(20):
        near.wire.send([b"and another thing"])
        await trio.lowlevel.checkpoint()
    with trio.fail_after(5):
        await near.until(lambda: bool(near.ends))
    assert near.heard == b"enough"
    assert near.ends == [None]
    assert far.heard


async def test_closing_in_the_tick_in_which_reading_goes_on_is_fine(pair):
    near, far = Ear(pair[0]), Ear(pair[1])
    far.wire.pause()
    near.say(b"unheard")
    for _ in range(5):
        await trio.lowlevel.checkpoint()
    far.wire.resume()
    far.wire.close(rest=[b"bye"])
    with trio.fail_after(5):
        await near.until(lambda: bool(near.ends))
    assert near.heard == b"bye"
    assert near.ends == [None]


async def test_a_wire_that_lingers_gives_up_on_a_peer_that_never_ends(pair, monkeypatch):
    monkeypatch.setattr(tcp, "LINGER_S", 0.05)
    near, far = Ear(pair[0]), Ear(pair[1])
    far.wire.pause()
    near.wire.close(rest=[bytes(20_000_000)])
    with trio.fail_after(5):
        while near.wire._sock.fileno() >= 0:
            await trio.lowlevel.checkpoint()
    assert not near.ends


async def test_a_connection_that_is_gone_before_it_is_looked_at_is_a_wire_that_ends(nursery):
    class Gone(socket.socket):
        """As on systems that refuse options on a connection which the other side has reset."""

        def setsockopt(self, *args):
            raise OSError(errno.EINVAL, "invalid argument")

    ours, theirs = socket.socketpair()
    theirs.close()
    ear = Ear(TcpWire(Gone(fileno=ours.detach()), "tcp://192.0.2.1:1", nursery.start_soon))
    with trio.fail_after(5):
        await ear.until(lambda: bool(ear.ends))


async def test_out_of_descriptors_the_listener_waits_and_goes_on(nursery, autojump_clock):
    class Scarce:
        """A listening socket in a process that for a while has no descriptor left."""

        def __init__(self, sock):
            self.sock, self.refusals = sock, 3

        def __getattr__(self, name):
            return getattr(self.sock, name)

        def accept(self):
            if self.refusals:
                self.refusals -= 1
                raise OSError(errno.EMFILE, "too many open files")
            return self.sock.accept()

    listener = TcpTransport().listen(Address("127.0.0.1", 0), nursery.start_soon)
    scarce = listener._sock = Scarce(listener._sock)
    wires = []
    accepted = trio.Event()

    def on_wire(wire: TcpWire, host: str) -> None:
        wires.append((wire, host))
        accepted.set()

    nursery.start_soon(listener.accept, on_wire)
    with socket.create_connection(listener.address):
        began = trio.current_time()
        await accepted.wait()
        assert trio.current_time() - began >= 0.3
        assert scarce.refusals == 0
        assert wires[0][1] == "127.0.0.1"
        wires[0][0].close(abort=True)
    listener.close()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"])
async def test_an_address_that_is_not_this_machines_cannot_be_listened_on(host, nursery):
    with pytest.raises(UnavailableError) as refused:
        TcpTransport().listen(Address(host, 0), nursery.start_soon)
    assert refused.value.code == "net.cannot-listen"
    assert host in refused.value.message


async def test_a_dial_says_what_the_system_said(nursery):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"cannot reach tcp://127.0.0.1:{port}: .*[Rr]efused"):
        await TcpTransport().dial(Address("127.0.0.1", port), nursery.start_soon)


async def test_both_families_listen_and_dial(nursery):
    if not socket.has_ipv6:
        pytest.skip("this system has no IPv6")
    transport, hosts = TcpTransport(), []
    try:
        listener = transport.listen(Address("::1", 0), nursery.start_soon)
    except UnavailableError:
        pytest.skip("this machine has no IPv6 loopback")
    wires = []

    def on_wire(wire: TcpWire, host: str) -> None:
        wires.append(wire)
        hosts.append(host)

    nursery.start_soon(listener.accept, on_wire)
    wires.append(await transport.dial(listener.address, nursery.start_soon))
    with trio.fail_after(5):
        while not hosts:
            await trio.lowlevel.checkpoint()
    assert hosts == ["::1"]
    assert listener.address.text in {wire.remote for wire in wires}
    for wire in wires:
        wire.close(abort=True)
    listener.close()
    nursery.cancel_scope.cancel()
