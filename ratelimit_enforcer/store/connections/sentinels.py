"""A store whose master is named by Sentinels."""

import threading
import weakref
from functools import partial
from typing import Any

from redis import Connection, exceptions
from redis.connection import SSLConnection
from redis.sentinel import SentinelConnectionPool

from ratelimit_enforcer.store.connections.opening import open_connection
from ratelimit_enforcer.store.connections.pool import opened
from ratelimit_enforcer.store.connections.redis_url import Address, Location
from ratelimit_enforcer.store.connections.server import PROBE_TIMEOUT, ServerConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable, translating_redis_errors

WATCH_INTERVAL = 1.0
"""Seconds between two checks whether the Sentinels name another master."""


class Sentinels:
    """Asks all Sentinels, and believes the one with the newest configuration: a Sentinel that is cut off
    together with an old master still names that master."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self.master: Address | None = None
        """The master found last."""

    def find(self, deadline: Deadline) -> Address:
        """The current master. Raises :class:`StoreUnavailable` if no Sentinel names one in time."""
        nodes = self._location.nodes
        named = []
        for tried, node in enumerate(nodes):
            try:
                named.append(self._query(node, deadline.fraction(len(nodes) - tried)))
            except (StoreUnavailable, exceptions.ResponseError):
                continue
        if not named:
            raise StoreUnavailable(f"No Sentinel names a master for “{self._location.service}”.")
        self.master = max(named)[1]
        return self.master

    def _query(self, node: Address, deadline: Deadline) -> tuple[int, Address]:
        """The epoch of one Sentinel's configuration, and the master in that configuration."""
        with (
            translating_redis_errors(),
            opened(partial(self._location.sentinel_connection, node), deadline) as connection,
        ):
            answer = connection.execute(("SENTINEL", "MASTER", self._location.service), deadline)
        state = _texts(answer)
        return int(state["config-epoch"]), (state["ip"], int(state["port"]))


def _texts(answer: Any) -> dict[str, str]:
    """The answer is a flat list of names and values in turn."""
    return {name.decode(): value.decode() for name, value in zip(answer[::2], answer[1::2], strict=True)}


class SentinelConnections(ServerConnections):
    """The data plane's connections to the master that the Sentinels name.

    While the connections are in use, the Sentinels are queried every second: a master that is cut off from
    them continues to accept writes, and nothing else would show that it was replaced.
    """

    def __init__(self, location: Location, size: int, *, probe_key: str) -> None:
        self._sentinels = Sentinels(location)
        self._location = location
        super().__init__(location.connection, size, probe_key=probe_key)

    def renew(self) -> None:
        super().renew()
        self._watching = threading.Lock()

    def _connected(self, timeout: float) -> Connection:
        master = self._sentinels.master or self._sentinels.find(Deadline(timeout))
        connection = open_connection(self._location.connection(master), timeout)
        try:
            _require_master(connection)
        except BaseException:
            connection.disconnect()
            raise
        self._start_watching()
        return connection

    def _start_watching(self) -> None:
        if self._watching.acquire(blocking=False):
            threading.Thread(target=_watch, args=[weakref.ref(self)], name="sentinel-watch", daemon=True).start()

    def _probe(self) -> None:
        before = self._sentinels.master
        if self._sentinels.find(Deadline(PROBE_TIMEOUT)) != before:
            self.drop_connections()
        super()._probe()

    def follow_master(self) -> None:
        """Abandons the connections to the master if the Sentinels name another one."""
        before = self._sentinels.master
        try:
            if self._sentinels.find(Deadline(PROBE_TIMEOUT)) != before:
                self.drop_connections()
        except StoreUnavailable:
            # No Sentinel answers, so the last known master remains in use.
            return


def _watch(watched: "weakref.ref[SentinelConnections]") -> None:
    """Asks the Sentinels every second, as long as the connections are in use."""
    pause = threading.Event()
    while not pause.wait(WATCH_INTERVAL):
        connections = watched()
        if connections is None:
            return
        connections.follow_master()
        del connections


def _require_master(connection: Connection) -> None:
    """Raises ``ConnectionError`` for a replica, which would answer reads with possibly outdated rules."""
    connection.send_command("ROLE")
    role: Any = connection.read_response()
    if role[0] != b"master":
        raise exceptions.ConnectionError("The Sentinels name a server that is not a master yet.")


class MasterPool(SentinelConnectionPool):
    """The control plane's pool: asks the Sentinels before each use, so that nothing is published to a master
    that was replaced."""

    def __init__(self, location: Location, **options: Any) -> None:
        self._sentinels = Sentinels(location)
        super().__init__(
            location.service,
            self,
            ssl=issubclass(location.connection_class, SSLConnection),
            **{**location.options, **options},
        )
        self._find_timeout = float(options["socket_timeout"])

    def discover_master(self, service_name: str) -> Address:
        """Called by redis-py to find the master. Raises redis-py's ``ConnectionError``."""
        try:
            return self._sentinels.find(Deadline(self._find_timeout))
        except StoreUnavailable as error:
            raise exceptions.ConnectionError(str(error)) from error

    def get_connection(self, *arguments: Any, **options: Any) -> Connection:
        """A connection to the current master. Raises redis-py's ``ConnectionError``."""
        self.get_master_address()
        return super().get_connection(*arguments, **options)
