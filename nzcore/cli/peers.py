"""How peers stand in a table, with `peer list` and with `state`; imports nothing that either would not."""

from typing import Any

from nzcore.cli import output


def peer_table(peers: list[dict[str, Any]]) -> output.Table:
    """Peers in a few columns that fit 80 characters; `show` has the rest."""
    return output.Table(
        ("peer", "connected", "rtt", "address", "node"),
        [
            (
                p["name"],
                output.Line("yes", "green") if p["connected"] else "no",
                output.milliseconds(p["rtt_ms"]),
                output.where(p["addresses"]),
                output.short_id(p["node"]),
            )
            for p in peers
        ],
    )
