"""Views for comparison: one does nothing, and one makes a single call to Redis."""

from typing import Any

from django.conf import settings
from redis import Redis
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.floor import BURST, EMISSION, SOURCE
from ratelimit_enforcer.throttling import PolicyThrottle

redis = Redis.from_url(settings.REDIS_URL, socket_timeout=1.0)
digest = redis.script_load(SOURCE)


class Empty(APIView):
    """Does nothing."""

    schema: Any = None

    def get(self, request: Request) -> Response:
        return Response({"allowed": True})


class Minimal(APIView):
    """A hand-written view: reads the client, calls one script, and responds."""

    schema: Any = None

    def post(self, request: Request) -> Response:
        body: Any = request.data
        allowed, wait = redis.evalsha(digest, 1, f"bench:minimal:{body['client']}", EMISSION, BURST)
        return Response({"allowed": bool(allowed), "retry_after": wait}, status=200 if allowed else 429)


class Shop(APIView):
    """A view of a shop with three limits."""

    schema: Any = None
    throttle_classes = (PolicyThrottle,)

    def get(self, request: Request) -> Response:
        return Response({"products": ["Tea pot"]})
