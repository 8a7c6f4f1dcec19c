"""spec/discovery.md says what the code does."""

import re
from pathlib import Path

from nzcore.base.reasons.discovery import REASONS
from nzcore.net import mdns
from nzcore.node import discovery
from nzcore.proto.discovery import register, sighting
from nzcore.proto.discovery.pseudonym import DiscoveryKey, Pseudonym

PAGE = (Path(__file__).parents[3] / "spec" / "discovery.md").read_text()


def test_the_worked_example_is_true():
    dk, r, port, tag, instance = re.findall(r"^(?:dk|r|port|tag|instance) {2,}(\w+)$", PAGE, re.M)
    name = Pseudonym.make(DiscoveryKey(bytes.fromhex(dk)), bytes.fromhex(r), int(port))
    assert (name.tag.hex(), name.text) == (tag, instance)


def test_every_code_is_explained():
    section = PAGE.split("## 8.")[1].split("## 9.")[0]
    assert set(re.findall(r"`discovery\.([\w-]+)`", section)) == set(REASONS)


def test_the_limits_are_those_of_the_code():
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| [^|]+ \|$", PAGE.split("## 6.")[1].split("## 7.")[0], re.M))
    assert rows["strangers and windows kept"].startswith(str(register.MAX_STRANGERS))
    assert rows["names of one peer kept"].startswith(str(register.MAX_OF_PEER))
    assert rows["new names looked at"] == f"{register.BURST} at once, {register.RATE_PER_S:.0f} a second"
    assert (register.DIAL_INSTANCE_S, rows["dials caused by one instance"]) == (60, "one a minute")
    assert rows["dials caused by names of one peer"] == f"one in {register.DIAL_PEER_S:.0f} seconds"
    assert rows["names asked about at a time"] == f"{mdns.MAX_RESOLVING}, {mdns.MAX_WAITING} waiting"
    assert rows["names in the resolver's cache"].startswith(f"{discovery.MAX_BURDEN:,}")
    assert f"more than {sighting.MAX_HOSTS} addresses or {sighting.MAX_PROPERTIES} properties" in PAGE
    assert f"At most {sighting.MAX_ADDRESSES} are kept" in PAGE
    assert f"not heard within {discovery.ECHO_S:.0f} seconds" in PAGE
    assert (mdns.HOPS, "with a hop limit of 1" in PAGE) == (1, True)
