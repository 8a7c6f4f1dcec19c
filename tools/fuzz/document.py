"""Any bytes as a document signature of `nzcore.proto.identity`, as bytes and as text."""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.base.ids import NodeId
from nzcore.proto.identity.document import DocumentSignature, verify_document


def target(data: bytes) -> None:
    """Ends for any bytes; only PeerError is swallowed, and what was read verifies against what it says."""
    with suppress(PeerError):
        verify_document(data.decode("utf-8", "replace"), bytes(32), 0, NodeId(bytes(32)))
    with suppress(PeerError):
        read = DocumentSignature.parse(data)
        assert verify_document(read.text, read.digest, read.size, read.node) == read
