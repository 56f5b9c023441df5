"""A real application that a proxy forwards requests to, and that keeps what it received."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from tests.support.hooks import ENDS_WITHIN


class Received(NamedTuple):
    """A request as the application received it; names of headers are in lowercase."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Application(ThreadingHTTPServer):
    """Answers every request with its method and path, ``/missing`` with status 404 and ``/broken`` with 503. With
    ``ends``, closes the connection instead."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.ends = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        assert isinstance(self.server, Application)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.command, self.path, headers, body))
        if self.server.ends:
            self.close_connection = True
            return
        answer = json.dumps({"method": self.command, "path": self.path}).encode()
        self.send_response({"/missing": 404, "/broken": 503}.get(self.path, 200))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        """Logs nothing."""


@contextmanager
def running_application() -> Iterator[Application]:
    """An application that answers until the end of the block."""
    with Application() as application:
        threading.Thread(target=application.serve_forever, args=[ENDS_WITHIN], daemon=True).start()
        yield application
        application.shutdown()
