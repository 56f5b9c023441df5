"""Bodies of requests: how large, how slow and how many at the same time, before anything reads them.

granian hands a request on as soon as its headers are there, and a body that does not arrive holds the thread that
reads it. So small bodies of pages are read here, within a deadline, by a bounded number of threads; large ones are
left for whoever has made sure who sends them. Checks are not among those: they read their body only once the token
is known, and never wait for pages.
"""

import threading
import time
from collections.abc import Callable, Iterable, MutableMapping
from io import BytesIO
from typing import Any

from django.db import connections
from django.http import HttpResponse

from api.body import MAX_BATCH_BODY, MAX_BODY
from api.problems import BODY_TOO_LARGE, BODY_TOO_SLOW, OVERLOADED, ProblemType, problem_response

Environ = MutableMapping[str, Any]
Application = Callable[[Any, Any], Iterable[Any]]

KIB = 1024
MAX_CONFIG = 8 * KIB * KIB
MAX_PAGE = 5 * KIB * KIB // 2
"""Bytes of a form of the admin; as Django's ``DATA_UPLOAD_MAX_MEMORY_SIZE``."""
MAX_IMPORT = 65 * KIB * KIB
"""A file of 64 MiB, and the form around it."""

LARGEST_BODIES = (
    ("/v1/check/batch", MAX_BATCH_BODY),
    ("/v1/config", MAX_CONFIG),
    ("/v1/", MAX_BODY),
    ("/admin/login/", MAX_BODY),
    ("/admin/limits/client/import/", MAX_IMPORT),
    ("/admin/", MAX_PAGE),
)
"""The first prefix that fits holds; elsewhere 64 KiB."""

NEVER_WAIT = (
    *("/v1/check", "/v1/peek", "/v1/usage", "/v1/reservations", "/v1/charge", "/v1/forward-auth/"),
    *("/healthz", "/readyz", "/metrics"),
)
"""Prefixes of what is answered however busy the other pages are."""

BODY_SECONDS = 10.0
RUNNING = 4
"""Requests other than checks that are worked on at the same time in one process."""
ADMITTED = 16
"""Those, and the ones that wait for them or for their body."""


def largest_body(path: str) -> int:
    """How many bytes a body for this path may have."""
    return next((limit for prefix, limit in LARGEST_BODIES if path.startswith(prefix)), MAX_BODY)


class BoundedBodies:
    """A WSGI middleware that refuses what is too large (413), too slow (408) or too much (503). Safe for threads."""

    def __init__(self, application: Application, clock: Callable[[], float] = time.monotonic) -> None:
        self._application = application
        self._clock = clock
        self._admitted = threading.BoundedSemaphore(ADMITTED)
        self._running = threading.BoundedSemaphore(RUNNING)
        self._kept = KeptConnections(RUNNING)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[Any]:
        path = environ.get("PATH_INFO", "")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY and length > (limit := largest_body(path)):
            return _refuse(start_response, BODY_TOO_LARGE, f"The body has more than {limit:,} bytes.")
        if path.startswith(NEVER_WAIT):
            return self._application(environ, start_response)
        if not self._admitted.acquire(blocking=False):
            return _refuse(start_response, OVERLOADED, "The server is busy with other requests.", retry_after=1)
        try:
            return self._take(environ, start_response, length)
        finally:
            self._admitted.release()

    def _take(self, environ: Environ, start_response: Any, length: int) -> Iterable[Any]:
        if 0 < length <= MAX_BODY:
            body = read_within(environ["wsgi.input"], length, self._clock() + BODY_SECONDS, self._clock)
            if body is None:
                return _refuse(start_response, BODY_TOO_SLOW, f"The body took longer than {BODY_SECONDS:.0f} seconds.")
            environ["wsgi.input"] = BytesIO(body)
        with self._running, self._kept:
            return self._application(environ, start_response)


def read_within(source: Any, length: int, deadline: float, clock: Callable[[], float]) -> bytes | None:
    """A body of ``length`` bytes, shorter where the caller ended early; None: too slow.

    The server's ``read`` waits for all bytes that it is asked for. Each piece is as large as all before it together,
    so that a caller who sends one byte after another is noticed after three times the deadline at the latest.
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


class KeptConnections:
    """Lets so many threads keep their connection to the database for their next request, which Django does for
    every thread; the server has far more threads than a database has connections."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: set[int] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Nothing is known before."""

    def __exit__(self, *error: object) -> None:
        with self._lock:
            if len(self._threads) < self._most:
                self._threads.add(threading.get_ident())
            keeps = threading.get_ident() in self._threads
        if not keeps:
            connections.close_all()


def _refuse(start_response: Any, kind: ProblemType, detail: str, *, retry_after: int | None = None) -> list[bytes]:
    """Closes the connection, since the rest of the body may follow."""
    headers = {"Connection": "close"} | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    response: HttpResponse = problem_response(kind, detail, headers=headers)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]
