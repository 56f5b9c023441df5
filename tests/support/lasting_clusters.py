"""A Cluster for several tests, because Redis needs two seconds to form one, however fast the machine is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from tests.support.topologies import ClusterTopology


class LastingCluster:
    """Gives each test a healthy, empty Cluster: the one of the previous test, or a new one if that test left it
    broken."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        """``options``: those of :class:`ClusterTopology`."""
        self._folder = folder
        self._options = options
        self._started: list[ClusterTopology] = []

    def ready(self) -> ClusterTopology:
        """The Cluster for the next test."""
        if self._started and _is_whole(self._started[-1]):
            _empty(self._started[-1])
        else:
            self.stop()
            self._started.append(ClusterTopology(self._folder / f"{len(self._started)}", **self._options).start())
        return self._started[-1]

    def stop(self) -> None:
        if self._started:
            self._started[-1].stop()


@contextmanager
def lasting_cluster(folder: Path, **options: Any) -> Iterator[LastingCluster]:
    """Stops the Cluster at the end of the block."""
    lasting = LastingCluster(folder, options)
    try:
        yield lasting
    finally:
        lasting.stop()


def _is_whole(cluster: ClusterTopology) -> bool:
    if len(cluster.running) < len(cluster.servers):
        return False
    for server in cluster.servers:
        server.resume()
    try:
        return cluster.is_whole()
    except RedisError:
        return False


def _empty(cluster: ClusterTopology) -> None:
    for server in cluster.masters:
        with server.client as client:
            client.config_set("maxmemory", 0)
            client.flushall()
