"""Real nodes, real multicast DNS: in network namespaces that the tests make, and on loopback in one of them.

Nothing else is spoken to: each namespace has one end of a cable of its own and no way out.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from nzcore.cli.spawn import own_command, own_environment
from nzcore.ipc.client import Client
from nzcore.ipc.path import socket_path

pytestmark = pytest.mark.real

WAIT_S = 30
SNIFFER = """
import socket, sys
from ipaddress import ip_address
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
print("ready", flush=True)
while True:
    data, place = s.recvfrom(65535)
    if place[0] == "lo" or place[2] != socket.PACKET_OUTGOING:
        continue
    if place[1] == 0x0800:
        head, hops, dst, proto = (data[0] & 15) * 4, data[8], data[16:20], data[9]
    elif place[1] == 0x86DD:
        head, hops, dst, proto = 40, data[7], data[24:40], data[6]
    else:
        continue
    port = int.from_bytes(data[head + 2 : head + 4], "big") if proto in (6, 17) else 0
    print(ip_address(dst), hops, proto, port, flush=True)
"""


def run(*words, check=True):
    return subprocess.run(words, capture_output=True, text=True, check=check, timeout=WAIT_S)


def missing():
    """Why there can be no namespaces here; empty where there can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no iproute2 here"
    name = f"nzt{os.getpid()}x"
    made = run("ip", "netns", "add", name, check=False)
    run("ip", "netns", "del", name, check=False)
    return "" if made.returncode == 0 else f"no network namespaces here: {made.stderr.strip()}"


class Place:
    """A network namespace; closed by its stack."""

    def __init__(self, name, stack):
        self.name = name
        run("ip", "netns", "add", name)
        stack.callback(run, "ip", "netns", "del", name, check=False)
        self.ip("link", "set", "lo", "up")
        self.inside("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad", check=False)

    def ip(self, *words):
        run("ip", "-n", self.name, *words)

    def inside(self, *words, check=True):
        return run("ip", "netns", "exec", self.name, *words, check=check)

    def start(self, *words, **settings):
        environment = own_environment()
        environment.pop("NZCORE_LAN", None)
        words = ["ip", "netns", "exec", self.name, *words]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, **settings)

    def settle(self, *addresses):
        """These addresses and no others."""
        self.ip("addr", "flush", "dev", "cable")
        for address in addresses:
            self.ip("addr", "add", address, "dev", "cable", *(["nodad"] if ":" in address else []))


class Node:
    """A home, and its node while it is up."""

    def __init__(self, home, name):
        self.home = home
        self.process = None
        self.ask("init", "--no-passphrase", "--name", name)

    def ask(self, *words, stdin=None, codes=(0,)):
        ended = subprocess.run(
            [*own_command(), "--home", str(self.home), "--json", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            env=own_environment(),
            check=False,
        )
        assert ended.returncode in codes, (words, ended.stderr)
        return json.loads(ended.stdout or "null")

    def up(self, place, *words):
        self.process = place.start(*own_command(), "--home", str(self.home), "--json", "up", *words)
        assert json.loads(self.process.stdout.readline())["event"] == "ready"

    def down(self):
        if self.process is not None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.communicate(timeout=10)
            self.process.kill()
            self.process.communicate()
            self.process = None

    def call(self, operation, args):
        with Client(socket_path(self.home), timeout_s=WAIT_S) as client:
            return client.call(operation, args)

    def discovery(self):
        """What the doctor says of it."""
        (check,) = [one for one in self.ask("doctor", codes=(0, 1)) if one["check"] == "discovery"]
        return check

    def peer(self, name):
        (found,) = [peer for peer in self.ask("peer", "list") if peer["name"] == name]
        return found

    def near(self, listen="2"):
        return self.ask("peer", "discover", "--for", listen)


def until(is_so, what):
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(0.2)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def places(stack):
    """Two namespaces and a cable between them."""
    if why := missing():
        pytest.skip(why)
    one, two = (Place(f"nzt{os.getpid()}{end}", stack) for end in "ab")
    run("ip", "link", "add", "cable", "netns", one.name, "type", "veth", "peer", "name", "cable", "netns", two.name)
    for place in (one, two):
        place.ip("link", "set", "cable", "up")
    return one, two


@pytest.fixture
def make(stack, tmp_path):
    def made(name):
        node = Node(tmp_path / name, name)
        stack.callback(node.down)
        return node

    return made


def introduce(one, other, name_of_one, name_of_other):
    one.ask("peer", "add", "-", "--name", name_of_other, stdin=other.ask("identity", "card")["card"])
    other.ask("peer", "add", "-", "--name", name_of_one, stdin=one.ask("identity", "card")["card"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((("10.77.0.1/24",), ("10.77.0.2/24",)), (("10.78.0.11/24",), ("10.78.0.12/24",))),
        pytest.param(
            (("fd77::1/64", "fe80::1/64"), ("fd77::2/64", "fe80::2/64")),
            (("fe80::11/64",), ("fe80::12/64",)),
            marks=pytest.mark.long,
        ),
    ],
    ids=["IPv4", "IPv6"],
)
def test_peers_that_both_moved_find_each_other_and_nothing_leaves_the_link(places, make, stack, before, after):
    for place, addresses in zip(places, before, strict=True):
        place.settle(*addresses)
    alice, bob, carol = make("alice"), make("bob"), make("carol")
    sniffer = places[0].start(sys.executable, "-c", SNIFFER, text=True)
    stack.enter_context(sniffer)
    stack.callback(sniffer.kill)
    assert sniffer.stdout.readline() == "ready\n"
    alice.up(places[0])
    bob.up(places[1])
    introduce(alice, bob, "alice", "bob")
    until(lambda: alice.peer("bob")["connected"] and bob.peer("alice")["connected"], "a channel by card")
    until(lambda: [one["name"] for one in alice.near()] == ["bob"], "bob's name recognised")
    known = set(alice.peer("bob")["addresses"])
    alice.down()
    bob.down()

    for place, addresses in zip(places, after, strict=True):
        place.settle(*addresses)
    alice.up(places[0])
    bob.up(places[1])
    until(lambda: alice.peer("bob")["connected"], "a channel by discovery")
    until(lambda: [one["name"] for one in alice.near()] == ["bob"], "bob's new name recognised")  # bob may have dialled
    (near,) = alice.near()
    assert not known & set(near["addresses"])
    assert all(after[1][0].partition("/")[0] in address for address in near["addresses"])
    if ":" in after[1][0]:
        assert all("%cable]" in address for address in near["addresses"])
    carol.up(places[1])
    until(lambda: [one["node"] for one in alice.near() if not one["known"]] == [None], "a stranger listed")
    assert alice.discovery()["ok"]

    sniffer.kill()
    sent = [line.split() for line in sniffer.stdout.read().splitlines()]
    assert {hops for _, hops, proto, port in sent if (proto, port) == ("17", "5353")} == {"1"}
    near_by = ("10.77.0.", "10.78.0.", "fd77::", "fe80::", "ff02::", "224.0.0.")
    assert [line for line in sent if not line[0].startswith(near_by)] == []


@pytest.mark.long
def test_one_machine_without_a_network_finds_its_own_nodes(stack, make):
    if why := missing():
        pytest.skip(why)
    place = Place(f"nzt{os.getpid()}l", stack)
    alice, bob = make("alice"), make("bob")
    alice.up(place, "--listen", "tcp://127.0.0.1:7001")
    bob.up(place, "--listen", "tcp://127.0.0.1:7002")
    until(lambda: len(alice.near()) == 1 and len(bob.near()) == 1, "each other, as strangers")
    introduce(alice, bob, "alice", "bob")
    until(lambda: alice.peer("bob")["connected"], "a channel by card")
    bob.down()
    until(lambda: alice.near() == [], "bob's goodbye")
    bob.up(place, "--listen", "tcp://127.0.0.1:7003")
    until(lambda: [one["connected"] for one in alice.near()] == [True], "bob at another port")


@pytest.mark.long
def test_the_doctor_finds_that_the_only_interface_takes_no_multicast(places, make):
    places[0].settle("10.77.0.1/24")
    places[0].ip("link", "set", "cable", "multicast", "off")
    alice = make("alice")
    alice.up(places[0])
    until(lambda: not alice.discovery()["ok"], "the finding")
    check = alice.discovery()
    assert "tickets and known addresses work without it" in check["hint"]


def test_strangers_become_peers_by_three_words_over_real_multicast(places, make):
    places[0].settle("10.77.0.1/24")
    places[1].settle("10.77.0.2/24")
    nodes = {"alice": make("alice"), "bob": make("bob")}
    for place, node in zip(places, nodes.values(), strict=True):
        node.up(place)
    words = {}

    def pair(name, other):
        with Client(socket_path(nodes[name].home), timeout_s=WAIT_S) as client:
            for step in client.stream("pair.phrase", {"name": other}, timeout_s=WAIT_S):
                if step["event"] == "words":
                    words[name] = step["words"]
                    nodes[name].call("pair.confirm", {"accept": True})

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(pair, "alice", "bob"), pool.submit(pair, "bob", "alice")]:
            done.result()
    assert words["alice"] == words["bob"]
    until(lambda: nodes["alice"].peer("bob")["connected"], "a channel")
