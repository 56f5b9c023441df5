"""One process of the gateway: an event loop with the interfaces, and the engine's thread."""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from typing import Any

import uvloop

from gateway.application import GatewayApplication
from gateway.engine_threads import EngineThreads
from gateway.http1.connection import Http1Connection
from gateway.http2.bounds import Bounds
from gateway.http2.calls import Methods
from gateway.http2.connection import Http2Connection
from gateway.rls.handlers import methods
from gateway.server import GatewayServer, Interface
from ratelimit_enforcer.engine import Engine, get_engine
from ratelimit_platform.logs import RequestIdMiddleware
from ratelimit_platform.middleware import HostMiddleware


def run(http: socket.socket, grpc: socket.socket, *, ready: int, lifeline: int) -> None:
    """Serves until SIGTERM or SIGINT, or until the descriptor ``lifeline`` closes; then drains. Writes a byte to the
    descriptor ``ready`` when it accepts connections."""
    uvloop.run(_run(http, grpc, ready, lifeline))


async def _run(http: socket.socket, grpc: socket.socket, ready: int, lifeline: int) -> None:
    stop = _stop_requested(lifeline)
    gateway = Gateway(get_engine(), http, grpc)
    await gateway.start()
    with suppress(BrokenPipeError):
        # A supervisor that has ended ends this process by the other descriptor.
        os.write(ready, b"1")
    await stop.wait()
    asyncio.get_running_loop().remove_reader(lifeline)
    await gateway.stop()


class Gateway:
    """The interfaces of one event loop, on two listening sockets. Created inside the loop."""

    def __init__(self, engine: Engine, http: socket.socket, grpc: socket.socket) -> None:
        self._threads = EngineThreads(engine, asyncio.get_running_loop())
        application = GatewayApplication(self._threads, identified=RequestIdMiddleware, checked=_checked)
        handlers = methods(self._threads)
        self._health = handlers.health
        calls = Methods(handlers.unary, handlers.streaming)
        interfaces = (
            Interface(http, lambda connections: Http1Connection(application, connections)),
            Interface(grpc, lambda connections: Http2Connection(calls, Bounds(), connections)),
        )
        self._server = GatewayServer(interfaces, every_second=self._health.update)

    async def start(self) -> None:
        """Begins to accept connections."""
        await self._server.start()

    async def stop(self) -> None:
        """Refuses new requests, and returns when those in flight have their answers."""
        self._health.drain()
        await self._server.drain()
        self._threads.stop()


def _checked(view: Any) -> Any:
    return RequestIdMiddleware(HostMiddleware(view))


def _stop_requested(lifeline: int) -> asyncio.Event:
    """Set by SIGTERM and SIGINT, and when the supervisor has ended."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(lifeline, stop.set)
    return stop
