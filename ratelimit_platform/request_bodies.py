"""Bounds on request bodies, applied before the application reads them: their size, their duration and their number.

granian passes a request on as soon as its headers have arrived, and a body that does not arrive blocks the thread that
reads it. So small bodies of pages are read here, within a deadline, by a bounded number of threads. Large bodies are
left to code that first verifies the sender. Checks are exempt: they read their body only after the token was verified,
and never wait for pages.
"""

import threading
import time
from collections.abc import Callable, Iterable, MutableMapping
from io import BytesIO
from typing import Any

from django.db import connections
from django.http import HttpResponse

from api.problems import BODY_TOO_LARGE, BODY_TOO_SLOW, OVERLOADED, ProblemType, problem_response
from api.requests import LARGE_BODIES, MAX_BODY_BYTES, MAX_CONFIG_BYTES

Environ = MutableMapping[str, Any]
Application = Callable[[Any, Any], Iterable[Any]]

KIB = 1024
MAX_FORM_BYTES = 5 * KIB * KIB // 2
"""Maximum size in bytes of a form of the admin; equal to Django's ``DATA_UPLOAD_MAX_MEMORY_SIZE``."""
MAX_IMPORT_BYTES = 65 * KIB * KIB
"""A file of 64 MiB, and the form that contains it."""

LARGEST_BODIES = (
    *LARGE_BODIES.items(),
    ("/v1/config", MAX_CONFIG_BYTES),
    ("/v1/changes", MAX_CONFIG_BYTES),
    ("/v1/", MAX_BODY_BYTES),
    ("/admin/login/", MAX_BODY_BYTES),
    ("/admin/limits/client/import/", MAX_IMPORT_BYTES),
    ("/admin/", MAX_FORM_BYTES),
)
"""Path prefix → maximum size in bytes. The first matching prefix applies; without a match, 64 KiB."""

UNQUEUED_PATHS = (
    *("/v1/check", "/v1/peek", "/v1/usage", "/v1/reservations", "/v1/charge", "/v1/forward-auth/"),
    *("/healthz", "/readyz", "/metrics"),
)
"""Path prefixes of requests that are answered even while other pages are overloaded."""

BODY_SECONDS = 10.0
MAX_RUNNING = 4
"""Requests other than checks that one process works on at the same time."""
MAX_ADMITTED = 16
"""Maximum number of such requests of one process, including those that wait for their turn or their body."""


def largest_body(path: str) -> int:
    """The maximum size in bytes of a body for this path."""
    return next((limit for prefix, limit in LARGEST_BODIES if path.startswith(prefix)), MAX_BODY_BYTES)


class BoundedBodies:
    """A WSGI middleware that rejects bodies that are too large (413) or too slow (408), and requests beyond the
    number allowed (503). Thread-safe."""

    def __init__(self, application: Application, clock: Callable[[], float] = time.monotonic) -> None:
        self._application = application
        self._clock = clock
        self._admitted = threading.BoundedSemaphore(MAX_ADMITTED)
        self._running = threading.BoundedSemaphore(MAX_RUNNING)
        self._connections = PersistentConnections(MAX_RUNNING)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[Any]:
        path = environ.get("PATH_INFO", "")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY_BYTES and length > (limit := largest_body(path)):
            return _reject(start_response, BODY_TOO_LARGE, f"The body has more than {limit:,} bytes.")
        if path.startswith(UNQUEUED_PATHS):
            return self._application(environ, start_response)
        if not self._admitted.acquire(blocking=False):
            return _reject(start_response, OVERLOADED, "The server is busy with other requests.", retry_after=1)
        try:
            return self._answer(environ, start_response, length)
        finally:
            self._admitted.release()

    def _answer(self, environ: Environ, start_response: Any, length: int) -> Iterable[Any]:
        if 0 < length <= MAX_BODY_BYTES:
            body = read_within(environ["wsgi.input"], length, self._clock() + BODY_SECONDS, self._clock)
            if body is None:
                return _reject(start_response, BODY_TOO_SLOW, f"The body took longer than {BODY_SECONDS:.0f} seconds.")
            environ["wsgi.input"] = BytesIO(body)
        with self._running, self._connections:
            return self._application(environ, start_response)


def read_within(source: Any, length: int, deadline: float, clock: Callable[[], float]) -> bytes | None:
    """A body of ``length`` bytes, shorter if the caller ended early; None: it took too long.

    The server's ``read`` waits until all requested bytes have arrived. Each piece is as large as all pieces before
    it together, so that a caller who sends single bytes is detected after three times the deadline at the latest.
    """
    pieces, have = [], 0
    while have < length:
        piece = source.read(min(max(have, 1), length - have))
        if not piece:
            break
        pieces.append(piece)
        have += len(piece)
        if have < length and clock() > deadline:
            return None
    return b"".join(pieces)


class PersistentConnections:
    """Lets at most ``most`` threads keep their database connections for their next request. Django would do that in
    every thread, and the server has far more threads than a database has connections."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: set[int] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Nothing to do before the request."""

    def __exit__(self, *error: object) -> None:
        with self._lock:
            if len(self._threads) < self._most:
                self._threads.add(threading.get_ident())
            keeps = threading.get_ident() in self._threads
        if not keeps:
            connections.close_all()


def _reject(start_response: Any, kind: ProblemType, detail: str, *, retry_after: int | None = None) -> list[bytes]:
    """Rejects the request, and closes the connection, because the rest of the body may follow."""
    headers = {"Connection": "close"} | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    response: HttpResponse = problem_response(kind, detail, headers=headers)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]
