"""Any bytes as a module's manifest, read by `nzcore.node.modules.manifest`."""

from contextlib import suppress

from nzcore.base.errors import PeerError
from nzcore.node.modules.capability import covers
from nzcore.node.modules.manifest import parse_manifest, satisfies

START = b'name = "a"\nversion = "0.1"\napi = "0"\nentry = "a:A"\n'


def target(data: bytes) -> None:
    """The bytes alone, behind a manifest's beginning, and as one capability; a refusal names a line that is there."""
    capability = b"capabilities = ['''" + data.replace(b"'", b"") + b"''']\n"
    for text in (data, START + data, START + capability):
        with suppress(PeerError):
            _read(text)
    with suppress(UnicodeDecodeError):
        covers("a.**", data.decode() or "a")


def _read(text: bytes) -> None:
    try:
        manifest = parse_manifest(text)
    except PeerError as refused:
        line = refused.facts["line"]
        if not isinstance(line, int) or not 1 <= line <= text.count(b"\n") + 1:
            raise AssertionError(f"there is no line {line}") from refused
        raise
    assert satisfies(manifest.version, "*")
    assert len(set(manifest.capabilities)) == len(manifest.capabilities)
