"""The data plane's connections to a Cluster: each command goes to the master of its key.

A master that answers MOVED or ASK has not run the command, so it is sent on to where it belongs,
within the same deadline. Each master has a breaker of its own.
"""

import logging
import threading
import time
from typing import Any

from redis.exceptions import AskError, MovedError

from limits.forking import renewed_when_forked
from limits.store.addresses import Address, Location
from limits.store.breaker import PROBE_INTERVAL, Breaker, Outages
from limits.store.cluster_map import ClusterMap
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable
from limits.store.hot import PROBE_PATIENCE, ServerConnections
from limits.store.keys import Keys

log = logging.getLogger(__name__)

MAX_REDIRECTIONS = 5
"""Times that a command is sent on. More means that the masters do not agree yet."""


class MasterConnections(ServerConnections):
    """The connections to one master of a Cluster."""

    def __init__(self, cluster: "ClusterConnections", address: Address, location: Location, size: int) -> None:
        self._cluster = cluster
        self._address = address
        super().__init__(lambda: location.connection(address), size, outages=cluster.outages)

    def _probe(self) -> None:
        """Reads the map first: where another master took over, this one is needed no more."""
        self._cluster.map.read(Deadline(PROBE_PATIENCE))
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
        renewed_when_forked(self)

    def renew(self) -> None:
        self._masters: dict[Address, MasterConnections] = {}
        self._adding = threading.Lock()
        self._reading = threading.Lock()
        self._finding = Breaker(lambda: self.map.read(Deadline(PROBE_PATIENCE)), outages=self.outages)

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        """As :meth:`~limits.store.hot.HotConnections.execute`."""
        for _ in range(MAX_REDIRECTIONS):
            master = self._master_of(key, deadline)
            try:
                return self._connections(master).execute(*command, key=key, deadline=deadline)
            except MovedError as error:
                self.map.move(error.slot_id, self.map.redirected(error.host, error.port, master))
                self._read_map_later()
            except AskError as error:
                importing = self.map.redirected(error.host, error.port, master)
                return self._connections(importing).execute_asking(*command, deadline=deadline)
        raise StoreUnavailable("The masters of the Cluster send this key round in circles.")

    def probe_key_of(self, master: Address) -> str | None:
        """A key that this master holds; None: it holds none of ours."""
        return next((key for key in self._keys.probes if self.map.master_of(key) == master), None)

    def _master_of(self, key: str, deadline: Deadline) -> Address:
        if not self.map.masters:
            self._find(deadline)
        master = self.map.master_of(key)
        if master is None:
            self._read_map_later()
            raise StoreUnavailable("No master of the Cluster holds this key now.")
        return master

    def _find(self, deadline: Deadline) -> None:
        """Reads the map for the first time."""
        if self._finding.is_open:
            raise StoreUnavailable("The Cluster is known to be away.")
        try:
            self.map.read(deadline)
        except StoreUnavailable as error:
            self._finding.trip(str(error))
            raise

    def _connections(self, master: Address) -> MasterConnections:
        connections = self._masters.get(master)
        if connections is None:
            with self._adding:
                new = MasterConnections(self, master, self._location, self._size)
                connections = self._masters.setdefault(master, new)
        return connections

    def _read_map_later(self) -> None:
        """What moved is known already; the rest of the map may have changed with it."""
        if self._reading.acquire(blocking=False):
            threading.Thread(target=self._read_map, name="cluster-map", daemon=True).start()

    def _read_map(self) -> None:
        try:
            self.map.read(Deadline(PROBE_PATIENCE))
        except StoreUnavailable as error:
            log.warning("cluster_map_not_read: %s", error, extra={"event": "cluster_map_not_read", "error": str(error)})
        finally:
            time.sleep(PROBE_INTERVAL)
            self._reading.release()
