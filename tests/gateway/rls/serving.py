"""A gRPC server of the rate limit service, for tests: the gateway's transport and methods around a real engine."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import uvloop

from gateway.engine_threads import EngineThreads
from gateway.http2 import calls
from gateway.http2.bounds import Bounds
from gateway.http2.connection import Http2Connection
from gateway.rls.handlers import Methods, methods
from gateway.server import GatewayServer, Interface
from ratelimit_enforcer.engine import Engine


class Server:
    """A running server. ``peer``: the address that calls seem to come from; None: their own. ``timeout``: the seconds
    that all callers seem to wait; None: what they say."""

    def __init__(self, engine: Engine, peer: str | None = None) -> None:
        self.engine = engine
        self._peer = peer
        self.timeout: float | None = None
        self.failures: list[tuple[int, str]] = []
        """The calls that ended with a status other than OK, as code and text."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.methods: Methods
        self.loop: asyncio.AbstractEventLoop
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._began.wait(20)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self.loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        threads = EngineThreads(self.engine, self.loop)
        self.methods = methods(threads)
        self._calls = calls.Methods(self.methods.unary, self.methods.streaming)
        interface = Interface(self._listener, lambda connections: Http2Connection(self, Bounds(), connections))
        server = GatewayServer((interface,))
        await server.start()
        self._began.set()
        await self._ended.wait()
        for connection in server.connections:
            connection.transport.abort()
        await server.drain()
        threads.stop()

    def start(self, call: calls.Call) -> None:
        """Starts a call in the service, from the address and with the deadline that the test wants."""
        if self._peer is not None:
            call.connection.peer = self._peer
        if self.timeout is not None:
            call.head = replace(call.head, deadline_seconds=self.timeout)
        self._record(call)
        self._calls.start(call)

    def _record(self, call: calls.Call) -> None:
        close = call.close

        def recorded(status: int = 0, text: str = "") -> None:
            if status:
                self.failures.append((status, text))
            close(status, text)

        call.close = recorded  # type: ignore[method-assign]

    def in_loop(self, function: Callable[[], None]) -> None:
        """Calls a function in the event loop, and waits for its end."""
        ended: Future[None] = Future()

        def run() -> None:
            function()
            ended.set_result(None)

        self.loop.call_soon_threadsafe(run)
        ended.result(20)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.in_loop(self._ended.set)
            self._thread.join(20)
