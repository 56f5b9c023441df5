from collections.abc import Callable, Iterator

import pytest

from tests.gateway.http1.serving import Peer, Serving


@pytest.fixture
def serving() -> Iterator[Serving]:
    serving = Serving()
    yield serving
    serving.stop()


@pytest.fixture
def connect(serving: Serving) -> Iterator[Callable[..., Peer]]:
    """A function that opens a connection."""
    peers: list[Peer] = []

    def open_one(**options: int) -> Peer:
        peers.append(Peer(serving.port, **options))
        return peers[-1]

    yield open_one
    for peer in peers:
        peer.close()


@pytest.fixture
def peer(connect: Callable[..., Peer]) -> Peer:
    return connect()
