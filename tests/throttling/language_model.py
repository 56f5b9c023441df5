"""A small HTTP server with the protocol of a language model's API: answers in parts, and the usage in the last one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.hooks import ENDS_WITHIN

WITHIN = 60.0
USAGE = 321


class LanguageModel(ThreadingHTTPServer):
    """Answers each question with ``words``. ``may_end``: the answer ends only once this is set. ``is_abandoned``: the
    caller closed the connection in the middle of an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.words = ["one", "two", "three"]
        self.status = 200
        self.may_end = threading.Event()
        self.may_end.set()
        self.is_abandoned = threading.Event()
        self.questions: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: LanguageModel

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.questions.append(question | {"path": self.path})
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in self.server.words:
            self._send({"choices": [{"index": 0, "delta": {"content": word}}], "usage": None})
        if self.server.may_end.is_set():
            self._send({"choices": [], "usage": {"total_tokens": USAGE}})
            self.wfile.write(b"data: [DONE]\n\n")
        else:
            self._wait_for_the_caller()

    def _wait_for_the_caller(self) -> None:
        self.connection.settimeout(WITHIN)
        with suppress(OSError):
            if self.connection.recv(1) == b"":
                self.server.is_abandoned.set()

    def _send(self, part: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(part)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """No lines on standard error."""


@contextmanager
def language_model() -> Iterator[LanguageModel]:
    """A running server."""
    with LanguageModel() as server:
        thread = threading.Thread(target=server.serve_forever, args=[ENDS_WITHIN], daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
