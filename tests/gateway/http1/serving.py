"""The connections of the gateway on a real socket, with an application that shows what they read."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import orjson
import uvloop
from django.http import HttpResponse, JsonResponse

from gateway.http1.connection import Answer, Http1Connection
from gateway.http1.heads import AcceptedHeads
from gateway.http1.request import GatewayRequest
from gateway.server import GatewayServer, Interface

TIMEOUT = 30.0
LIMIT = 65_536
EARLY = 8_192
TOKEN = "HTTP_AUTHORIZATION"


class Mirror:
    """Answers with what it was asked. It holds requests to ``/held`` until :meth:`release`, checks the token of long
    bodies (``good`` is one), and answers to ``/large`` with eight megabytes. With ``heads``, it accepts all of them."""

    def __init__(self, heads: AcceptedHeads | None = None) -> None:
        self._heads = heads
        self.found = 0
        """The number of requests that were not parsed."""
        self.handled: list[str] = []
        self._held: list[Callable[[], None]] = []
        self.holds_tokens = False

    def body_limit(self, path: str) -> int:
        return LIMIT

    def needs_token(self, request: GatewayRequest, length: int) -> bool:
        return length > EARLY

    def check_token(self, request: GatewayRequest, answer: Callable[[HttpResponse | None], None]) -> None:
        response = None if request.META.get(TOKEN) == "good" else HttpResponse(b"no", status=401)
        if self.holds_tokens:
            self._held.append(lambda: answer(response))
        else:
            answer(response)

    def find(self, data: bytes, peer: str) -> GatewayRequest | None:
        request = None if self._heads is None else self._heads.find(data, peer)
        self.found += request is not None
        return request

    def handle(self, request: GatewayRequest, answer: Answer) -> None:
        if self._heads is not None and request.accepted is None:
            self._heads.store(request, True)
        self.handled.append(request.path)
        if request.path == "/large":
            answer(HttpResponse(bytes(8 << 20)))
        elif request.path == "/held":
            self._held.append(lambda: answer(_mirrored(request)))
        elif request.path == "/broken":
            raise ZeroDivisionError
        else:
            answer(_mirrored(request))

    def added_headers(self, request: GatewayRequest) -> str:
        return "X-Added: yes\r\n"

    def release(self) -> None:
        """Answers the requests that wait."""
        held, self._held = self._held, []
        for answer in held:
            answer()


def _mirrored(request: GatewayRequest) -> HttpResponse:
    body = request.body.decode("latin-1")
    return JsonResponse({"method": request.method, "path": request.path, "meta": request.META, "body": body})


class Serving:
    """Serves a mirror on loopback until :meth:`stop`."""

    def __init__(self) -> None:
        self.mirror = Mirror()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run(started)), daemon=True)
        self._thread.start()
        started.result(TIMEOUT)

    async def _run(self, started: "Future[None]") -> None:
        self._loop, self._stops = asyncio.get_running_loop(), asyncio.Event()
        make = lambda connections: Http1Connection(self.mirror, connections)  # noqa: E731 - passed on
        self.server = GatewayServer([Interface(self._listener, make)])
        await self.server.start()
        started.set_result(None)
        await self._stops.wait()
        await self.server.drain()

    def do(self, action: Callable[[], Any]) -> Any:
        """Calls ``action`` in the event loop."""
        future: Future[Any] = Future()
        self._loop.call_soon_threadsafe(lambda: future.set_result(action()))
        return future.result(TIMEOUT)

    @property
    def connections(self) -> set[Http1Connection]:
        """Those that are open."""
        return self.do(lambda: set(self.server.connections))  # type: ignore[no-any-return]

    def later(self, seconds: float) -> None:
        """Ends the connections whose time is over after so many seconds."""
        self.do(lambda: [each.expire(time.monotonic() + seconds) for each in set(self.server.connections)])

    def release(self) -> None:
        """Answers the requests that wait."""
        self.do(self.mirror.release)

    def stop(self) -> None:
        """Drains, and waits for the thread."""
        self._loop.call_soon_threadsafe(self._stops.set)
        self._thread.join()


class Reply:
    """One response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def asked(self) -> Any:
        """What the mirror was asked."""
        return orjson.loads(self.body)


class Peer:
    """A caller that sends any bytes."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> "Peer":
        self.socket.sendall(data)
        return self

    def end(self) -> "Peer":
        """Sends nothing more."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reply(self, *, head: bool = False) -> Reply:
        """The next response. ``head``: it has no body."""
        first = self._file.readline()
        assert first.startswith(b"HTTP/1.1 "), first
        headers: dict[str, str] = {}
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            assert name.lower() not in headers
            headers[name.lower()] = value.strip()
        length = 0 if head else int(headers.get("content-length", 0))
        return Reply(int(first.split()[1]), headers, self._file.read(length))

    def rest(self) -> bytes:
        """Everything until the connection ends, also by a reset."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def get(path: str = "/", *lines: str, version: str = "1.1") -> bytes:
    """A GET."""
    return ("\r\n".join([f"GET {path} HTTP/{version}", "Host: testserver", *lines]) + "\r\n\r\n").encode("latin-1")


def post(body: bytes, *lines: str, path: str = "/", length: int | None = None) -> bytes:
    """A POST; ``length``: the announced one."""
    announced = len(body) if length is None else length
    head = [f"POST {path} HTTP/1.1", "Host: testserver", f"Content-Length: {announced}", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
