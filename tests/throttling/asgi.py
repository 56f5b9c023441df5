"""Requests to Django's ASGI handler, as a server sends them."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from django.core.handlers.asgi import ASGIHandler

WITHIN = 60.0


class Handler(ASGIHandler):
    """Knows the file of the request's body, which Django does not close if the stream of a response fails."""

    body: IO[bytes] | None = None

    async def read_body(self, receive: Any) -> IO[bytes]:
        self.body = await super().read_body(receive)
        return self.body


class AsgiRequest:
    """One request to the handler. It sends the next part of the body when the client has read the one before."""

    def __init__(self, path: str, client: str = "ann") -> None:
        self.status = 0
        self._parts: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._received.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": f"/{path}",
            "query_string": b"",
            "headers": [(b"x-key", client.encode()), (b"host", b"testserver")],
        }
        self._handler = Handler()
        self._task = asyncio.create_task(self._handler(scope, self._received.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        if body := message.get("body"):
            await self._parts.put(body)

    def disconnect(self) -> None:
        self._received.put_nowait({"type": "http.disconnect"})

    async def part(self) -> bytes:
        """The next part of the body."""
        return await asyncio.wait_for(self._parts.get(), WITHIN)

    async def end(self) -> None:
        """Waits until the handler has ended. Raises its exception."""
        try:
            await asyncio.wait_for(self._task, WITHIN)
        finally:
            if self._handler.body is not None:
                self._handler.body.close()


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    """Runs this in a loop of its own, in a separate thread: a browser of other tests keeps a loop running in this
    one."""

    async def main() -> Any:
        return await test()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main()).result()
