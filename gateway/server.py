"""The servers of one gateway process: listens on the sockets that the process was given, and drains them in the end."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

SWEEP_SECONDS = 1.0
DRAIN_SECONDS = 8.0
"""Seconds for requests in flight to end; after that, their connections are closed."""


class Interface(NamedTuple):
    """A listening socket, and what creates a connection; the set contains those that are open. A connection has
    ``drain()``, which refuses new requests and closes it after those in flight, and may have ``expire(now)``, which
    ends it if its peer took too long (``now``: ``time.monotonic()``) and is called once a second."""

    listener: socket.socket
    connect: Callable[[set[Any]], asyncio.Protocol]


class GatewayServer:
    """Serves the interfaces until :meth:`drain`."""

    def __init__(self, interfaces: Sequence[Interface], *, every_second: Callable[[], None] = lambda: None) -> None:
        self._connections = [(interface, set[Any]()) for interface in interfaces]
        self._every_second = every_second
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        for interface, connections in self._connections:
            connect = partial(interface.connect, connections)
            self._servers.append(await loop.create_server(connect, sock=interface.listener, backlog=2048))
        self._sweeper = loop.create_task(self._sweep())

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
        for connection in self.connections:
            connection.drain()
        end = time.monotonic() + DRAIN_SECONDS
        while self.connections and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self._sweeper.cancel()
