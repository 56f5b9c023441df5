"""A real HTTP server that records requests, optionally with TLS."""

import queue
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

TIMEOUT = 60

ENDS_WITHIN = 0.01
"""Poll interval of a server's shutdown in seconds; the default of 0.5 s would delay the end of every test."""


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class HookServer:
    """Answers every POST with ``status`` and ``answer``."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.status = 200
        self.location = ""
        self.answer = b""
        self._received: queue.Queue[Received] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=[ENDS_WITHIN], daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server._received.put(Received(self.path, headers, body))
                self.send_response(server.status)
                if server.location:
                    self.send_header("Location", server.location)
                self.send_header("Content-Length", str(len(server.answer)))
                self.end_headers()
                self.wfile.write(server.answer)

            def log_message(self, *arguments: object) -> None:
                """Logs nothing."""

        return Handler

    def next(self) -> Received:
        """Waits for the next request, and returns it."""
        return self._received.get(timeout=TIMEOUT)

    @property
    def is_empty(self) -> bool:
        return self._received.empty()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hooks() -> Iterator[HookServer]:
    server = HookServer()
    yield server
    server.stop()
