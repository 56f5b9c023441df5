"""The servers of one gateway process: listens on the sockets that the process was given, and drains them in the end."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

SWEEP_SECONDS = 1.0
DRAIN_SECONDS = 8.0
"""Seconds for requests in flight to end; after that, their connections are closed."""


class Connection(Protocol):
    """An open connection of any interface."""

    def expire(self, now: float) -> None:
        """Ends the connection if its peer took too long; ``now`` is ``time.monotonic()``."""

    def drain(self) -> None:
        """Refuses new requests, and closes the connection after those in flight."""


MakeConnection = Callable[["set[Any]"], asyncio.Protocol]


class GatewayServer:
    """Serves each socket with connections from a factory, until :meth:`drain`."""

    def __init__(self, interfaces: Sequence[tuple[socket.socket, MakeConnection]]) -> None:
        self._interfaces = interfaces
        self.connections: set[Any] = set()
        """Those that are open."""
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Begins to accept connections."""
        loop = asyncio.get_running_loop()
        for listener, make in self._interfaces:
            server = await loop.create_server(partial(make, self.connections), sock=listener, backlog=2048)
            self._servers.append(server)
        self._sweeper = loop.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for connection in tuple(self.connections):
                connection.expire(now)

    async def drain(self) -> None:
        """Accepts no further connections, and returns when all have ended, at the latest after
        :data:`DRAIN_SECONDS`."""
        for server in self._servers:
            server.close()
        for connection in tuple(self.connections):
            connection.drain()
        end = time.monotonic() + DRAIN_SECONDS
        while self.connections and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self._sweeper.cancel()
