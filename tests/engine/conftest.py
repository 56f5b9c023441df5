"""Fixtures of the engine's tests."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.lasting_clusters import LastingCluster, lasting_cluster
from tests.support.servers import Store


@pytest.fixture
def store(redis_url: str) -> Store:
    """An empty platform on a real Redis."""
    return Store(redis_url, f"test-{secrets.token_hex(4)}")


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LastingCluster]:
    """A Cluster of masters without replicas. One for each file: its tests run in one process."""
    with lasting_cluster(tmp_path_factory.mktemp("clusters"), replicas=0) as lasting:
        yield lasting


@pytest.fixture(params=["server", "cluster"])
def anywhere(request: pytest.FixtureRequest, store: Store) -> Store:
    """A platform on one server, and on a Cluster."""
    if request.param == "server":
        return store
    return Store(request.getfixturevalue("masters").ready().url, store.keys.namespace)
