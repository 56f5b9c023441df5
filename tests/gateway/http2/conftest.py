"""A server with methods for the tests."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from gateway.http2.bounds import Bounds
from gateway.http2.calls import Call, Methods
from gateway.http2.connection import Http2Connection
from tests.support.waiting import wait_until


class Server:
    """Listens on ``port`` of 127.0.0.1, in a thread with an event loop. ``held``: calls that the tests answer."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds, self.port = bounds, 0
        self.connections: set[Http2Connection] = set()
        self.held: list[Call] = []
        self.events: list[str] = []
        self._stop: asyncio.Event | None = None
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._listening.wait(30)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._stop is not None
        self.run(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        unary = {
            "/t/echo": lambda call, message: call.reply(message),
            "/t/size": lambda call, message: call.reply(bytes(int(message))),
            "/t/hold": lambda call, message: self._hold(call),
            "/t/fail": lambda call, message: call.fail(9, message.decode()),
            "/t/raise": lambda call, message: 1 // 0,
            "/t/metadata": lambda call, message: call.reply(self._describe(call).encode()),
            "/t/count": count,
        }
        service = Methods(unary, {"/t/chat": self._chat})
        server = await self.loop.create_server(self._protocol(service), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        while self.connections:
            await asyncio.sleep(0)

    def _protocol(self, service: Methods) -> Callable[[], Http2Connection]:
        return lambda: Http2Connection(service, self.bounds, self.connections)

    def _hold(self, call: Call) -> None:
        call.on_cancel = lambda: self.events.append("cancelled")
        self.held.append(call)

    def _describe(self, call: Call) -> str:
        shown = {name: call.metadata[name] for name in (":path", "x-one", "x-two-bin") if name in call.metadata}
        return f"{shown} {call.deadline_seconds} {call.peer}"

    def _chat(self, call: Call) -> None:
        call.on_message = lambda message: call.send(message.upper())
        call.on_end = lambda: call.close()

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function on the thread of the loop and returns its result."""
        result: Future[Any] = Future()
        self.loop.call_soon_threadsafe(lambda: result.set_result(function(*arguments)))
        return result.result(30)

    def holding(self, count: int) -> list[Call]:
        """As soon as so many calls are held."""
        wait_until(lambda: len(self.held) == count)
        return self.held


def count(call: Call, message: bytes) -> None:
    for number in range(int(message)):
        call.send(b"%d" % number)
    call.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """``serve(streams=3)``: a server with these bounds."""
    with ExitStack() as running:
        yield lambda **bounds: running.enter_context(Server(Bounds(**bounds)))
