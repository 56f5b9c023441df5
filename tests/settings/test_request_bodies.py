"""Limits on request bodies, without a server; with a server: tests/end_to_end/test_hostile_connections.py."""

import json
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.db import connections

from ratelimit_platform.request_bodies import (
    BODY_SECONDS,
    MAX_ADMITTED,
    BoundedBodies,
    PersistentConnections,
    largest_body,
    read_within,
)


class Dribble:
    """A body of which ``rate`` bytes arrive per second, by its own clock."""

    def __init__(self, rate: float, length: int = 10**9) -> None:
        self.now = 0.0
        self._rate = rate
        self._left = length

    def clock(self) -> float:
        return self.now

    def read(self, size: int) -> bytes:
        """Waits for the requested number of bytes, like granian."""
        given = min(size, self._left)
        self._left -= given
        self.now += given / self._rate
        return b"x" * given


@pytest.mark.parametrize("rate", [0.3, 1, 10, 1_000, 2_000])
def test_a_slow_body_is_aborted(rate: float) -> None:
    body = Dribble(rate)
    assert read_within(body, 65_536, BODY_SECONDS, body.clock) is None
    assert body.now <= 3 * BODY_SECONDS + 2 / rate


@pytest.mark.parametrize(
    ("rate", "length", "have"), [(7_000, 65_536, 65_536), (1e9, 65_536, 65_536), (100, 65_536, 500)]
)
def test_a_body_in_time_is_read_completely_or_up_to_its_early_end(rate: float, length: int, have: int) -> None:
    body = Dribble(rate, have)
    assert read_within(body, length, BODY_SECONDS, body.clock) == b"x" * have


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/v1/check", 64 * 1024),
        ("/v1/check/batch", 4 * 1024 * 1024),
        ("/v1/reservations", 64 * 1024),
        ("/v1/reservations/settle", 4 * 1024 * 1024),
        ("/v1/charge", 64 * 1024),
        ("/admin/limits/client/import/", 65 * 1024 * 1024),
        ("/admin/login/", 64 * 1024),
        ("//admin/limits/client/import/", 64 * 1024),
        ("/shop/orders", 64 * 1024),
        ("", 64 * 1024),
    ],
)
def test_every_path_has_a_maximum_size(path: str, most: int) -> None:
    assert largest_body(path) == most


def call(
    bodies: BoundedBodies, path: str, body: bytes = b"", length: int | None = None
) -> tuple[str, dict[str, str], Any]:
    """Status, headers and body of an answer."""
    told: list[Any] = []
    environ = {"PATH_INFO": path, "CONTENT_LENGTH": str(len(body) if length is None else length)}
    answer = bodies(environ | {"wsgi.input": BytesIO(body)}, lambda status, headers: told.extend((status, headers)))
    return told[0][:3], dict(told[1]), b"".join(answer)


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def test_bodies_are_passed_on_completely() -> None:
    assert call(BoundedBodies(echo), "/admin/", b"a form") == ("200", {}, b"a form")
    assert call(BoundedBodies(echo), "/v1/check", b"{}") == ("200", {}, b"{}")


def test_rejections_are_problem_documents() -> None:
    status, headers, body = call(BoundedBodies(echo), "/v1/check", length=65_537)
    assert (status, headers["Content-Type"], headers["Connection"]) == ("413", "application/problem+json", "close")
    assert json.loads(body)["type"] == "/problems/body-too-large"

    dribble = Dribble(1)
    slow = BoundedBodies(echo, dribble.clock)
    told: list[Any] = []
    slow(
        {"PATH_INFO": "/admin/login/", "CONTENT_LENGTH": "100", "wsgi.input": dribble}, lambda *args: told.extend(args)
    )
    assert told[0] == "408 Request Timeout"


@pytest.mark.django_db
def test_concurrent_pages_above_the_limit_are_rejected_but_not_checks() -> None:
    arrived, goes_on = threading.Semaphore(0), threading.Event()

    def waits(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        arrived.release()
        goes_on.wait()
        return echo(environ, start_response)

    bodies = BoundedBodies(waits)
    for slot in range(MAX_ADMITTED):
        assert bodies._admitted.acquire(blocking=False), slot
    status, headers, body = call(bodies, "/admin/")
    assert (status, headers["Retry-After"], json.loads(body)["type"]) == ("503", "1", "/problems/overloaded")
    goes_on.set()
    assert call(bodies, "/v1/check")[0] == "200"
    bodies._admitted.release()
    assert call(bodies, "/admin/")[0] == "200"


def test_only_a_limited_number_of_threads_keep_their_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    monkeypatch.setattr(type(connections), "close_all", lambda self: closed.append(threading.get_ident()))
    kept = PersistentConnections(2)
    together = threading.Barrier(5)

    def request() -> None:
        together.wait()
        for _ in range(3):
            with kept:
                pass
        together.wait()

    threads = [threading.Thread(target=request) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(closed)) == 3
    assert len(closed) == 9
