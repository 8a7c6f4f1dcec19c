"""What the tests of the node share: a home, made once and copied, and a node of services that need no thread."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nzcore.base.errors import PeerError
from nzcore.kernel import Service
from nzcore.net.tcp import TcpTransport
from nzcore.node import config
from nzcore.node.home import Home
from nzcore.node.identity import LocalIdentity
from nzcore.node.node import Node
from nzcore.node.services import StoreService
from nzcore.node.setup import create_home
from nzcore.proto.identity.mnemonic import Mnemonic
from nzcore.store.inline import InlineKV

WORDS = "abandon " * 23 + "art"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home under a key file; its mnemonic is `WORDS`."""
    path = tmp_path_factory.mktemp("template") / "home"
    with Mnemonic.parse(WORDS) as mnemonic:
        create_home(path, name="tester", mnemonic=mnemonic, passphrase=None)
    (path / "config.toml").write_text("# mine\n[net]\nmdns = false\n")
    return path


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    """A home of one's own."""
    shutil.copytree(template, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def make_node(home: Home) -> Iterator[Callable[[], Node]]:
    """Makes the node of `home`; its secrets are wiped at the end."""
    made: list[LocalIdentity] = []

    def make() -> Node:
        made.append(LocalIdentity.unlock(home, None))
        return Node(home, made[-1], config.load(home.config), TcpTransport())

    yield make
    for identity in made:
        identity.wipe()


@pytest.fixture
def node(make_node: Callable[[], Node]) -> Node:
    return make_node()


def threadless(node: Node) -> list[Service]:
    """A store in memory, for virtual clocks; which `node` is told of."""
    store = StoreService(lambda: InlineKV(node.identity.data_key), requires=())
    node.attach(lambda: store.kv)
    return [store]


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(PeerError) as caught:
        yield
    assert caught.value.code == code
