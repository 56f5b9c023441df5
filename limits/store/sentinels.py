"""A store whose master Sentinels name."""

import threading
import weakref
from functools import partial
from typing import Any

from redis import Connection, exceptions
from redis.connection import SSLConnection
from redis.sentinel import SentinelConnectionPool

from limits.store.addresses import Address, Location
from limits.store.connecting import connected
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable, outages_named
from limits.store.hot import PROBE_PATIENCE, ServerConnections
from limits.store.wire import opened

WATCH_INTERVAL = 1.0
"""Seconds between two looks whether the Sentinels name another master."""


class Sentinels:
    """Asks all Sentinels, and believes the one whose configuration is the newest: one that is cut off
    together with an old master still names that one."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self.master: Address | None = None
        """The master as last found."""

    def find(self, deadline: Deadline) -> Address:
        """The master now. Raises :class:`StoreUnavailable` where no Sentinel names one in time."""
        nodes = self._location.nodes
        named = []
        for asked, node in enumerate(nodes):
            try:
                named.append(self._ask(node, deadline.part(len(nodes) - asked)))
            except (StoreUnavailable, exceptions.ResponseError):
                continue
        if not named:
            raise StoreUnavailable(f"No Sentinel names a master for “{self._location.service}”.")
        self.master = max(named)[1]
        return self.master

    def _ask(self, node: Address, deadline: Deadline) -> tuple[int, Address]:
        """How new its configuration is, and the master in it."""
        with outages_named(), opened(partial(self._location.sentinel_connection, node), deadline) as wire:
            answer = wire.ask(("SENTINEL", "MASTER", self._location.service), deadline)
        state = _texts(answer)
        return int(state["config-epoch"]), (state["ip"], int(state["port"]))


def _texts(answer: Any) -> dict[str, str]:
    """Names and values in turn."""
    return {name.decode(): value.decode() for name, value in zip(answer[::2], answer[1::2], strict=True)}


class SentinelConnections(ServerConnections):
    """The data plane's connections to the master that the Sentinels name.

    While requests come, the Sentinels are asked every second: a master that is cut off from them
    goes on taking writes, and nothing else would tell that its time is over.
    """

    def __init__(self, location: Location, size: int, *, probe_key: str) -> None:
        self._sentinels = Sentinels(location)
        self._location = location
        super().__init__(location.connection, size, probe_key=probe_key)

    def renew(self) -> None:
        super().renew()
        self._watching = threading.Lock()

    def _connected(self, patience: float) -> Connection:
        master = self._sentinels.master or self._sentinels.find(Deadline(patience))
        connection = connected(self._location.connection(master), patience)
        try:
            _require_master(connection)
        except BaseException:
            connection.disconnect()
            raise
        self._begin_to_watch()
        return connection

    def _begin_to_watch(self) -> None:
        if self._watching.acquire(blocking=False):
            threading.Thread(target=_watch, args=[weakref.ref(self)], name="sentinel-watch", daemon=True).start()

    def _probe(self) -> None:
        before = self._sentinels.master
        if self._sentinels.find(Deadline(PROBE_PATIENCE)) != before:
            self.forget_idle()
        super()._probe()

    def look_again(self) -> None:
        """Leaves the master where the Sentinels name another one."""
        before = self._sentinels.master
        try:
            if self._sentinels.find(Deadline(PROBE_PATIENCE)) != before:
                self.forget_idle()
        except StoreUnavailable:
            # Nobody can say, so the master that was named last goes on.
            return


def _watch(watched: "weakref.ref[SentinelConnections]") -> None:
    """Looks again every second, for as long as somebody holds the connections."""
    pause = threading.Event()
    while not pause.wait(WATCH_INTERVAL):
        connections = watched()
        if connections is None:
            return
        connections.look_again()
        del connections


def _require_master(connection: Connection) -> None:
    """A replica answers reads, with rules that may be old."""
    connection.send_command("ROLE")
    role: Any = connection.read_response()
    if role[0] != b"master":
        raise exceptions.ConnectionError("The Sentinels name a server that is not a master yet.")


class MasterPool(SentinelConnectionPool):
    """The config plane's pool: before each use the Sentinels are asked, so that nothing is published
    to a master whose time is over."""

    def __init__(self, location: Location, **options: Any) -> None:
        self._sentinels = Sentinels(location)
        super().__init__(
            location.service,
            self,
            ssl=issubclass(location.connection_class, SSLConnection),
            **{**location.options, **options},
        )
        self._patience = float(options["socket_timeout"])

    def discover_master(self, service_name: str) -> Address:
        """What redis-py asks its Sentinels for."""
        try:
            return self._sentinels.find(Deadline(self._patience))
        except StoreUnavailable as error:
            raise exceptions.ConnectionError(str(error)) from error

    def get_connection(self, *arguments: Any, **options: Any) -> Connection:
        self.get_master_address()
        return super().get_connection(*arguments, **options)
