"""A slice of `tools/prove soak`, and that it finds what leaks."""

import pytest

from nzcore.net.manager import ChannelManager
from tools.proofs import soak

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def warm_soon(monkeypatch):
    monkeypatch.setattr(soak, "WARM", 15)


def test_thirty_connects_leave_nothing_behind():
    (report,) = soak.prove(30)
    assert report.ok, report.facts
    assert report.facts["connects"] == 30
    assert report.facts["links"] == 0


def test_a_leak_is_found(monkeypatch):
    kept, connect = [], ChannelManager.connect

    async def leaky(self, node, **options):
        kept.append(bytearray(1 << 16))
        return await connect(self, node, **options)

    monkeypatch.setattr(ChannelManager, "connect", leaky)
    (report,) = soak.prove(20)
    assert not report.ok
    assert "memory grew" in report.facts["error"]
