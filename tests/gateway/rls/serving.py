"""A gRPC server of the rate limit service, for tests: grpcio's transport around the real methods and a real engine."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from gateway.engine_threads import EngineThreads
from gateway.rls.handlers import Methods, methods
from ratelimit_enforcer.engine import Engine


class _Call:
    """A call of grpcio's server, in the form that the handlers expect."""

    def __init__(self, context: "grpc.aio.ServicerContext[Any, Any]", peer: str | None, timeout: float | None) -> None:
        self.metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        remaining = context.time_remaining()
        self.deadline_seconds = timeout or (remaining if remaining is not None and remaining < 10**6 else None)
        self.peer = peer or context.peer().partition(":")[2]
        self.on_message: Callable[[bytes], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.on_cancel: Callable[[], None] | None = None
        self.results: asyncio.Queue[bytes | tuple[int, str]] = asyncio.Queue()

    def reply(self, message: bytes) -> None:
        self.results.put_nowait(message)
        self.results.put_nowait((0, ""))

    def send(self, message: bytes) -> None:
        self.results.put_nowait(message)

    def fail(self, status: int, text: str) -> None:
        self.results.put_nowait((status, text))

    close = fail


_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Server:
    """A running server. ``peer``: the address that calls seem to come from; None: their own. ``timeout``: the seconds
    that all callers seem to wait."""

    def __init__(self, engine: Engine, peer: str | None = None, *, timeout: float | None = None) -> None:
        self.engine = engine
        self._peer = peer
        self._timeout = timeout
        self.failures: list[tuple[int, str]] = []
        """The calls that ended with a status other than OK, as code and text."""
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.methods: Methods
        self.port: int
        self.loop: asyncio.AbstractEventLoop
        self._thread.start()
        assert self._began.wait(20)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self.loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        threads = EngineThreads(self.engine, self.loop)
        self.methods = methods(threads)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Handlers(self),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._began.set()
        await self._ended.wait()
        await server.stop(None)
        threads.stop()

    def in_loop(self, function: Callable[[], None]) -> None:
        """Calls a function in the event loop."""
        self.loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.in_loop(self._ended.set)
            self._thread.join(20)

    async def answer(
        self, path: str, messages: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[bytes]:
        call = _Call(context, self._peer, self._timeout)
        if path in self.methods.streaming:
            self.methods.streaming[path](call)
            reading = asyncio.create_task(_forward(messages, call))
        else:
            self.methods.unary[path](call, await anext(messages))
            reading = None
        try:
            while isinstance(result := await call.results.get(), bytes):
                yield result
            if result[0]:
                self.failures.append(result)
                await context.abort(_CODES[result[0]], result[1])
        finally:
            if call.on_cancel is not None:
                call.on_cancel()
            if reading is not None:
                reading.cancel()


async def _forward(messages: AsyncIterator[bytes], call: _Call) -> None:
    async for message in messages:
        assert call.on_message is not None
        call.on_message(message)
    assert call.on_end is not None
    call.on_end()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, server: Server) -> None:
        self._server = server

    def service(self, details: Any) -> Any:
        path = details.method
        if not any(path in group for group in self._server.methods[:2]):
            return None

        async def answer(messages: Any, context: Any) -> Any:
            async for result in self._server.answer(path, messages, context):
                yield result

        return grpc.stream_stream_rpc_method_handler(answer)
