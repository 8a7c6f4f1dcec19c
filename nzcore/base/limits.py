"""Limits that more than one package must agree on, each with its unit and its reason.

A limit that only one package knows stands in that package, beside its use.
"""

SIGNED_OBJECT_BYTES = 4096
"""Largest COSE_Sign1 object that is read at all: twice the largest defined one (a routing packet's header)."""

CERTIFICATE_BYTES = 512
"""Largest certificate (PROTOCOLS §2): it travels in every handshake, before the peer is known."""

NAME_BYTES = 64
"""Largest suggested or petname in UTF-8: fits a table column and a DNS label."""

MESSAGE_BYTES = 1 << 20
"""Largest MessagePack message on a local socket or a request stream: one allocation that a caller can cause."""

NESTING = 8
"""Deepest nesting of arrays and maps in anything parsed: bounds recursion."""
