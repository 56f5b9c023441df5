"""The servers of one gateway process: listens on the sockets that the process was given, and drains them in the end."""

import asyncio
import math
import resource
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

SWEEP_SECONDS = 1.0
DRAIN_SECONDS = 8.0
"""Seconds for requests in flight to end; after that, their connections are closed."""
RESERVED_FILES = 128
"""Open files that connections leave for the store, logs and metrics. More connections than fit are closed at once."""


class Interface(NamedTuple):
    """A listening socket, and what creates a connection; the set contains those that are open. A connection has
    ``drain()``, which refuses new requests, closes it after those in flight, and is called repeatedly. It may have
    ``expire(now)``, which ends it if its peer took too long (``now``: ``time.monotonic()``) and is called once a
    second."""

    listener: socket.socket
    connect: Callable[[set[Any]], asyncio.Protocol]


class GatewayServer:
    """Serves the interfaces until :meth:`drain`."""

    def __init__(self, interfaces: Sequence[Interface], *, every_second: Callable[[], None] = lambda: None) -> None:
        self._connections = [(interface, set[Any]()) for interface in interfaces]
        self._every_second = every_second
        self._servers: list[asyncio.Server] = []
        self._max_connections = _max_connections()

    async def start(self) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        for interface, connections in self._connections:
            connect = partial(self._accept, interface, connections)
            self._servers.append(await loop.create_server(connect, sock=interface.listener, backlog=2048))
        self._sweeper = loop.create_task(self._sweep())

    def _accept(self, interface: Interface, connections: set[Any]) -> asyncio.Protocol:
        is_full = sum(len(each) for _, each in self._connections) >= self._max_connections
        return _Refusal() if is_full else interface.connect(connections)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for connection in self.connections:
                if expire := getattr(connection, "expire", None):
                    expire(now)
            self._every_second()

    @property
    def connections(self) -> list[Any]:
        """Those that are open, of all interfaces."""
        return [connection for _, connections in self._connections for connection in connections]

    async def drain(self) -> None:
        """Accepts no further connections, and returns when all have ended, at the latest after
        :data:`DRAIN_SECONDS`."""
        for server in self._servers:
            server.close()
        end = time.monotonic() + DRAIN_SECONDS
        await asyncio.sleep(0)
        while self.connections and time.monotonic() < end:
            # Each time, because a connection may have been accepted immediately before.
            for connection in self.connections:
                connection.drain()
            await asyncio.sleep(0.02)
        self._sweeper.cancel()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


def _max_connections() -> float:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if files == resource.RLIM_INFINITY else max(files - RESERVED_FILES, 1)
