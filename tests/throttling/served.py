"""A Django project for real servers, with a concurrency limit on its views; settings come from the environment.

Views count themselves in Redis, so that tests see what is in progress in all processes.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

if not settings.configured:
    settings.configure(
        SECRET_KEY="of-a-test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}},
        CHAT_API=os.environ.get("CHAT_API", ""),
        CHAT_MODEL="small",
        REST_FRAMEWORK={"NUM_PROXIES": 0, "UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
        RATELIMIT_PLATFORM={
            "NAMESPACE": os.environ["NAMESPACE"],
            "CLIENT_IDENTIFIER": "tests.throttling.views.key_in_header",
            "CHECK_DEADLINE": 10.0,
        },
    )
    django.setup()

from redis import Redis
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.throttling import PolicyThrottle

AT_MOST = 5
IN_PROGRESS, TOO_MANY, MAY_END, WORKERS = "test:in-progress", "test:too-many", "test:may-end", "test:workers"
MILLISECONDS = 0.02

store = Redis.from_url(os.environ["REDIS_URL"])


def work(seconds: float = MILLISECONDS) -> None:
    """Is in progress for a while, or until a test lets it end."""
    if store.incr(IN_PROGRESS) > AT_MOST:
        store.incr(TOO_MANY)
    store.sadd(WORKERS, os.getpid())
    store.blpop([MAY_END], timeout=seconds)
    store.decr(IN_PROGRESS)


class Report(APIView):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "reports"

    def get(self, request: Request) -> Response:
        work(float(request.query_params.get("seconds", MILLISECONDS)))
        return Response("done")


@rate_limit(endpoint="reports")
def report(request: HttpRequest) -> HttpResponse:
    work(float(request.GET.get("seconds", MILLISECONDS)))
    return HttpResponse("done")


@rate_limit(endpoint="reports")
async def later(request: HttpRequest) -> HttpResponse:
    await sync_to_async(work)(float(request.GET.get("seconds", MILLISECONDS)))
    return HttpResponse("done")


def endless() -> Iterator[bytes]:
    while True:
        yield b"." * 65_536


async def endless_async() -> AsyncIterator[bytes]:
    for part in endless():
        await asyncio.sleep(0)  # Otherwise nothing else in the process has a turn.
        yield part


@rate_limit(endpoint="reports")
def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(endless())


@rate_limit(endpoint="reports")
async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(endless_async())


class Stream(APIView):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "reports"

    def get(self, request: Request) -> StreamingHttpResponse:
        is_async = request.query_params.get("async")
        return StreamingHttpResponse(endless_async() if is_async else endless())


urlpatterns: list[Any] = [
    path("Report", Report.as_view()),
    path("report", report),
    path("later", later),
    path("stream", stream),
    path("stream_async", stream_async),
    path("Stream", Stream.as_view()),
]

if "CHAT_API" in os.environ:
    urlpatterns.append(path("chat", import_module("chat").chat))


def wsgi() -> WSGIHandler:
    return WSGIHandler()


def asgi() -> ASGIHandler:
    return ASGIHandler()
