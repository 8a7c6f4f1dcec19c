"""Reasons of discovery on the local network (`proto/discovery`, `net/mdns.py`, `node/discovery.py`)."""

from nzcore.base.reasons import Reason

_ANYWAY = "tickets and known addresses work without it"

REASONS = {
    "bad-argument": Reason("a discovery value out of its range", "see spec/discovery.md"),
    "bad-instance": Reason("a name on the local network that no node announces", "nothing: it is ignored"),
    "bad-service": Reason("an announcement on the local network that no node makes", "nothing: it is ignored"),
    "other-version": Reason(
        "an announcement on the local network by another version of discovery", "compare the versions of both nodes"
    ),
    "off-link": Reason(
        "an announcement that leads away from the local network", "nothing: it is ignored, and nothing is sent there"
    ),
    "bad-key": Reason("not a discovery key: it has 32 bytes", "compare the versions of both nodes"),
    "off": Reason(
        "discovery on the local network is switched off",
        f"`nzcore config set net.mdns true` and a restart switch it on; {_ANYWAY}",
    ),
    "no-link": Reason("the machine is on no local network that takes multicast", f"connect it; {_ANYWAY}"),
    "no-multicast": Reason(
        "the system does not let this node speak multicast DNS",
        f"in a container use the host's network, in WSL the mirrored mode, and let port 5353/udp pass; {_ANYWAY}",
    ),
    "no-place": Reason("the node listens on no address of a local network", "see net.listen: `nzcore config list`"),
    "ambiguous": Reason("several pairing windows on the local network begin like that", "give more of the name"),
}
