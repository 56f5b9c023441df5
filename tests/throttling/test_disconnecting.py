"""Reservations and places under ASGI: clients that disconnect, and streams that fail."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from pytest_django import Settings
from rest_framework.decorators import api_view, throttle_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.support.servers import Store
from tests.throttling.asgi import AsgiRequest, run
from tests.throttling.reserving import PLACES, TOKENS, left, publish, unsettled
from tests.throttling.test_reservations import OURS
from tests.throttling.views import KEY_IN_HEADER

WITHIN = 60.0


class Held:
    """Keeps views running until a test says so."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.left_in_the_end: list[int] = []

    def keep(self) -> None:
        self.has_begun.set()
        assert self.may_end.wait(WITHIN)
        self.left_in_the_end = left("ann", "reports")


held = Held()


class Report(APIView):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "reports"

    def get(self, request: Request) -> Response:
        held.keep()
        return Response("done")


@rate_limit(endpoint="reports")
def report(request: HttpRequest) -> HttpResponse:
    held.keep()
    return HttpResponse("done")


@rate_limit(endpoint="completions", reserve=400)
async def waiting(request: HttpRequest) -> HttpResponse:
    held.has_begun.set()
    await asyncio.Event().wait()
    raise AssertionError


async def counted(request: HttpRequest, *, fails: bool = False) -> AsyncIterator[bytes]:
    """A stream that settles at the number of parts that it has made."""
    made = 0
    try:
        for made in range(1, 10**6):
            yield b"%d " % made
            if fails:
                raise ConnectionError
    finally:
        # Work that takes turns of the event loop, as closing another connection does.
        await asyncio.sleep(0)
        await request.rate_limit.asettle(made)  # type: ignore[attr-defined]


@rate_limit(endpoint="completions", reserve=400)
async def settled_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(counted(request))


@rate_limit(endpoint="completions", reserve=400)
async def stalled_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def content() -> AsyncIterator[bytes]:
        try:
            yield b"1 "
            await asyncio.Event().wait()
        finally:
            await request.rate_limit.asettle(1)  # type: ignore[attr-defined]

    return StreamingHttpResponse(content())


class Streamed(APIView):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "completions"
    throttle_reserve = 400

    def get(self, request: Request) -> StreamingHttpResponse:
        return StreamingHttpResponse(counted(request._request))


@rate_limit(endpoint="reports")
@rate_limit(endpoint="completions", reserve=400)
async def twice_limited_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(counted(request))


@api_view(["GET"])
@throttle_classes([])
@rate_limit(endpoint="completions", reserve=400)
def function_stream(request: Request) -> StreamingHttpResponse:
    return StreamingHttpResponse(counted(request._request))


@rate_limit(endpoint="completions", reserve=400)
async def failing_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def content() -> AsyncIterator[bytes]:
        yield b"1 "
        raise ConnectionError

    return StreamingHttpResponse(content())


@rate_limit(endpoint="completions", reserve=400)
async def settling(request: HttpRequest) -> HttpResponse:
    settlement = await request.rate_limit.asettle(30)  # type: ignore[attr-defined]
    return HttpResponse(str(settlement.refunded))


@rate_limit(endpoint="completions", reserve=400)
async def releasing(request: HttpRequest) -> HttpResponse:
    await request.rate_limit.arelease()  # type: ignore[attr-defined]
    return HttpResponse("done")


urlpatterns = [
    path("Report", Report.as_view()),
    path("report", report),
    path("waiting", waiting),
    path("settled_stream", settled_stream),
    path("stalled_stream", stalled_stream),
    path("Streamed", Streamed.as_view()),
    path("twice_limited_stream", twice_limited_stream),
    path("function_stream", function_stream),
    path("failing_stream", failing_stream),
    path("settling", settling),
    path("releasing", releasing),
]

GZIP = "django.middleware.gzip.GZipMiddleware"


@pytest.fixture(params=[[], [OURS], [GZIP]], ids=["no middleware", "ours", "gzip"])
def project(request: pytest.FixtureRequest, store: Store, settings: Settings) -> Iterator[Store]:
    publish(store)
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = request.param
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": KEY_IN_HEADER}
    held.__init__()  # type: ignore[misc]
    yield store
    held.may_end.set()


async def wait_for(event: threading.Event) -> None:
    assert await sync_to_async(event.wait, thread_sensitive=False)(WITHIN)


async def left_later(endpoint: str = "completions") -> list[int]:
    return await sync_to_async(left, thread_sensitive=False)("ann", endpoint)


@pytest.mark.parametrize(("view", "refunded", "cost"), [("settling", b"370", 30), ("releasing", b"done", 0)])
def test_an_async_view_settles(project: Store, view: str, refunded: bytes, cost: int) -> None:
    async def test() -> None:
        request = AsgiRequest(view)
        assert await request.part() == refunded
        await request.end()

    run(test)
    assert (left()[0], unsettled(project)) == (TOKENS - cost, 0)


@pytest.mark.parametrize("view", ["Report", "report"])
def test_a_sync_view_that_still_runs_keeps_its_place(project: Store, view: str) -> None:
    async def test() -> None:
        request = AsgiRequest(view)
        await wait_for(held.has_begun)
        request.disconnect()
        assert await left_later("reports") == [PLACES - 1]
        held.may_end.set()
        await request.end()
        assert await left_later("reports") == [PLACES]

    run(test)
    assert held.left_in_the_end == [PLACES - 1], "The place was freed while the view was still running."


def test_an_async_view_is_cancelled(project: Store) -> None:
    async def test() -> None:
        request = AsgiRequest("waiting")
        await wait_for(held.has_begun)
        request.disconnect()
        await request.end()

    run(test)
    assert (left()[0], unsettled(project)) == (TOKENS - 400, 0)


@pytest.mark.parametrize(
    "view", ["settled_stream", "Streamed", "twice_limited_stream", "function_stream", "stalled_stream"]
)
def test_a_stream_settles_when_the_client_disconnects(
    project: Store, view: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All but the last are then suspended where they yield, so that no exception is raised in them."""

    async def test() -> None:
        request = AsgiRequest(view)
        await request.part()
        request.disconnect()
        await request.end()

    run(test)
    assert unsettled(project) == 0
    assert TOKENS - 100 <= left()[0] < TOKENS
    assert caplog.messages == []


def test_a_stream_that_fails(project: Store) -> None:
    async def test() -> None:
        request = AsgiRequest("failing_stream")
        with pytest.raises(ConnectionError):
            await request.end()

    run(test)
    assert (left()[0], unsettled(project)) == (TOKENS - 400, 0)
