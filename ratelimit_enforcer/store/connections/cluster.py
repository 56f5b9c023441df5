"""The data plane's connections to a Cluster, and the map of keys to masters.

Each command goes to the master of its key. A master that answers MOVED or ASK has not run the command, so
the command is redirected within the same deadline. Each master has its own breaker.
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from redis import exceptions
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError

from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store.connections.pool import RawConnection, opened
from ratelimit_enforcer.store.connections.redis_url import Address, Location
from ratelimit_enforcer.store.connections.server import (
    PROBE_INTERVAL,
    PROBE_TIMEOUT,
    Breaker,
    Outages,
    ServerConnections,
)
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable, translating_redis_errors
from ratelimit_enforcer.store.keys import Keys


@lru_cache(maxsize=4096)
def _slot_of_tag(tag: str) -> int:
    return int(key_slot(tag.encode()))


def slot_of(key: str) -> int:
    """The hash slot of a key, computed from the part between its first braces."""
    start = key.find("{") + 1
    end = key.find("}", start)
    return _slot_of_tag(key[start:end] if 0 < start < end else key)


NO_HOSTNAME = "?"
"""Stands for a host when hostnames are announced and this node has none."""

_NO_MASTERS: Sequence[Address | None] = (None,) * REDIS_CLUSTER_HASH_SLOTS


@dataclass(frozen=True)
class ClusterView:
    """The Cluster as one node sees it. ``ok``: the node reaches a majority of the masters; ``epoch`` of its
    configuration; the master of each slot; all nodes."""

    ok: bool
    epoch: int
    masters: Sequence[Address | None]
    nodes: tuple[Address, ...]


class ClusterMap:
    """The map of slots to masters as this process knows it. Thread-safe.

    A node that is cut off from most masters may have an outdated map. So the nodes are queried one after
    another until one reports that the state is ok; if none does, the map with the highest epoch is used.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._nodes = location.nodes
        self._use(_NO_MASTERS)
        renew_after_fork(self)

    def renew(self) -> None:
        self._reading = threading.Lock()
        # A separate instance: a project may have seeded the global one, and forked children share its state.
        self._random = random.Random()  # noqa: S311

    def master_of(self, key: str) -> Address | None:
        """The master of a key; None if no node serves its slot, or if the map was never read."""
        return self._by_slot[slot_of(key)]

    def move(self, slot: int, master: Address) -> None:
        """Records that ``slot`` has moved to ``master``, until the map is read again."""
        with self._reading:
            by_slot = list(self._by_slot)
            by_slot[slot] = master
            self._use(by_slot)

    def redirection_target(self, host: str, port: int, source: Address) -> Address:
        """The address that the node ``source`` redirects a command to. An empty host means the host of that node; a
        question mark means a node without a known hostname."""
        if host == NO_HOSTNAME:
            return next((node for node in self._nodes if node[1] == port), (source[0], port))
        return host or source[0], port

    def read(self, deadline: Deadline) -> None:
        """Reads the map from the Cluster. Raises :class:`StoreUnavailable` if no node answers in time."""
        view = self._best_view(deadline)
        with self._reading:
            self._use(view.masters)
            self._nodes = tuple(dict.fromkeys((*view.nodes, *self._location.nodes)))

    def _use(self, by_slot: Sequence[Address | None]) -> None:
        self._by_slot = by_slot
        self.masters = tuple(sorted({master for master in by_slot if master is not None}))
        """The masters with slots; empty before the first read."""

    def _best_view(self, deadline: Deadline) -> ClusterView:
        nodes = self._random.sample(self._nodes, len(self._nodes))
        views = []
        for tried, node in enumerate(nodes):
            try:
                view = self._query(node, deadline.fraction(len(nodes) - tried))
            except (StoreUnavailable, exceptions.ResponseError):
                continue
            if view.ok:
                return view
            views.append(view)
        if not views:
            raise StoreUnavailable("No node of the Cluster responds.")
        return max(views, key=lambda view: view.epoch)

    def _query(self, node: Address, deadline: Deadline) -> ClusterView:
        with translating_redis_errors(), opened(partial(self._location.connection, node), deadline) as connection:
            info = _info(connection, deadline)
            ranges = connection.execute(("CLUSTER", "SLOTS"), deadline)
        masters: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: list[Address] = []
        for first, last, *servers in ranges:
            addresses = [_address(server, node) for server in servers]
            masters[first : last + 1] = [addresses[0]] * (last - first + 1)
            nodes += addresses
        return ClusterView(info["cluster_state"] == "ok", int(info["cluster_current_epoch"]), masters, tuple(nodes))


def _info(connection: RawConnection, deadline: Deadline) -> dict[str, str]:
    lines = connection.execute(("CLUSTER", "INFO"), deadline).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _address(server: Sequence[Any], source: Address) -> Address:
    """The address of a node, from ``[host, port, id]`` and, since Redis 7, its other names. A node that does
    not know or announce its address has the host of ``source``, the node that described it; one without a hostname has
    its IP address (https://redis.io/docs/latest/commands/cluster-slots/)."""
    host, port, *more = server
    name = host.decode() if host else ""
    if name == NO_HOSTNAME:
        names = iter(more[1] if len(more) > 1 else ())
        name = dict(zip(names, names, strict=True)).get(b"ip", b"").decode()
    return name or source[0], int(port)


log = logging.getLogger(__name__)

MAX_REDIRECTIONS = 5
"""Maximum number of redirections of one command. More mean that the masters do not agree yet."""


class MasterConnections(ServerConnections):
    """The connections to one master of a Cluster."""

    def __init__(self, cluster: "ClusterConnections", address: Address, location: Location, size: int) -> None:
        self._cluster = cluster
        self._address = address
        super().__init__(lambda: location.connection(address), size, outages=cluster.outages)

    def _probe(self) -> None:
        """Reads the map first: if another master took over, this one is no longer needed."""
        self._cluster.map.read(Deadline(PROBE_TIMEOUT))
        key = self._cluster.probe_key_of(self._address)
        if key is not None:
            self._probe_key = key
            super()._probe()


class ClusterConnections:
    """Connections to all masters of a Cluster, at most ``size`` to each."""

    def __init__(self, location: Location, size: int, keys: Keys) -> None:
        self._location = location
        self._size = size
        self._keys = keys
        self.outages = Outages()
        self.map = ClusterMap(location)
        renew_after_fork(self)

    def renew(self) -> None:
        self._masters: dict[Address, MasterConnections] = {}
        self._adding = threading.Lock()
        self._reading = threading.Lock()
        self._first_map_breaker = Breaker(lambda: self.map.read(Deadline(PROBE_TIMEOUT)), outages=self.outages)

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        """See :meth:`~ratelimit_enforcer.store.connections.server.StoreConnections.execute`."""
        for _ in range(MAX_REDIRECTIONS):
            master = self._master_of(key, deadline)
            try:
                return self._connections(master).execute(*command, key=key, deadline=deadline)
            except MovedError as error:
                self.map.move(error.slot_id, self.map.redirection_target(error.host, error.port, master))
                self._read_map_later()
            except AskError as error:
                importing = self.map.redirection_target(error.host, error.port, master)
                return self._connections(importing).execute_asking(*command, deadline=deadline)
        raise StoreUnavailable("The masters of the Cluster redirect this key in a loop.")

    def probe_key_of(self, master: Address) -> str | None:
        """A key for probing this master; None if it has no slot of a probe key."""
        return next((key for key in self._keys.probes if self.map.master_of(key) == master), None)

    def _master_of(self, key: str, deadline: Deadline) -> Address:
        if not self.map.masters:
            self._read_first_map(deadline)
        master = self.map.master_of(key)
        if master is None:
            self._read_map_later()
            raise StoreUnavailable("No master of the Cluster has the slot of this key now.")
        return master

    def _read_first_map(self, deadline: Deadline) -> None:
        """Reads the map for the first time. Raises :class:`StoreUnavailable`."""
        if self._first_map_breaker.is_open:
            raise StoreUnavailable("The Cluster is known to be unavailable.")
        try:
            self.map.read(deadline)
        except StoreUnavailable as error:
            self._first_map_breaker.trip(str(error))
            raise

    def _connections(self, master: Address) -> MasterConnections:
        connections = self._masters.get(master)
        if connections is None:
            with self._adding:
                new = MasterConnections(self, master, self._location, self._size)
                connections = self._masters.setdefault(master, new)
        return connections

    def _read_map_later(self) -> None:
        """Reads the map in a thread: the slot that moved is recorded, but others may have moved with it."""
        if self._reading.acquire(blocking=False):
            threading.Thread(target=self._read_map, name="cluster-map", daemon=True).start()

    def _read_map(self) -> None:
        try:
            self.map.read(Deadline(PROBE_TIMEOUT))
        except StoreUnavailable as error:
            log.warning("cluster_map_not_read: %s", error, extra={"event": "cluster_map_not_read", "error": str(error)})
        finally:
            time.sleep(PROBE_INTERVAL)
            self._reading.release()
