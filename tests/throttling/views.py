"""Requests to views of a project through the middleware."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.middleware import RateLimitHeadersMiddleware

KEY_IN_HEADER = f"{__name__}.key_in_header"


def key_in_header(request: Request | HttpRequest) -> str:
    return request.headers["X-Key"]


def request_of(client: str = "ann", path: str = "/api/search", method: str = "get") -> HttpRequest:
    made: HttpRequest = getattr(APIRequestFactory(), method)(path, headers={"X-Key": client})
    return made


def send(view: Callable[..., Any], request: HttpRequest | None = None) -> HttpResponse:
    """Sends the request through the sync middleware."""
    return cast(HttpResponse, RateLimitHeadersMiddleware(view)(request or request_of()))


def send_async(view: Callable[..., Any], request: HttpRequest | None = None) -> HttpResponse:
    """Sends the request through the async middleware."""
    middleware = RateLimitHeadersMiddleware(view)

    async def answer() -> HttpResponse:
        return cast(HttpResponse, await cast(Awaitable[Any], middleware(request or request_of())))

    # In a separate thread, because a browser of other tests keeps an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, answer()).result()


def remaining(client: str = "ann", endpoint: str = "search") -> int | None:
    """A client's remaining quota on an endpoint, by a peek."""
    decision = get_engine().check(CheckRequest(client, endpoint), consume=False)
    return decision.leading.remaining if decision.leading else None
