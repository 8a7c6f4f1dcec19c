"""vectors/discovery.json is what the code makes and refuses."""

import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from nzcore.base.errors import PeerError
from nzcore.proto.discovery.pseudonym import DiscoveryKey, Pseudonym, recognise
from nzcore.proto.discovery.sighting import Heard, Links, read_sighting
from tools.vectors import discovery

FILE = Path(__file__).parents[3] / "vectors" / "discovery.json"
CASES = json.loads(FILE.read_text())["cases"]


def make(case):
    name = Pseudonym.make(DiscoveryKey(bytes.fromhex(case["dk"])), bytes.fromhex(case["r"]), case["port"])
    assert name.text == case["instance"]
    assert Pseudonym.parse(case["instance"]) == name


def owner(case):
    keys = [DiscoveryKey(bytes.fromhex(key)) for key in case["keys"]]
    assert recognise(Pseudonym.parse(case["instance"]), case["port"], enumerate(keys)) == case["owner"]


def parse(case):
    assert Pseudonym.parse(case["text"]).text == case["instance"]


def sighting(case):
    properties = {bytes.fromhex(key): bytes.fromhex(value) for key, value in case["properties"].items()}
    links = Links(tuple(map(ip_network, case["links"]["networks"])), tuple(case["links"]["scopes"]))
    seen = read_sighting(Heard(case["service"], case["port"], case["hosts"], properties), links)
    assert [address.text for address in seen.addresses] == case["addresses"]


KINDS = {"make": make, "recognise": owner, "parse": parse, "sighting": sighting}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_case_ends_as_the_vectors_say(case):
    if case["expect"] == "ok":
        KINDS[case["kind"]](case)
        return
    with pytest.raises(PeerError) as caught:
        KINDS[case["kind"]](case)
    assert caught.value.code == case["expect"]


def test_making_the_vectors_again_gives_the_same():
    assert json.loads(json.dumps(discovery.generate())) == json.loads(FILE.read_text())
