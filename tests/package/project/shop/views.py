"""All kinds of views that a project may have."""

from django.http import HttpRequest, JsonResponse
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.throttling import AtomicScopedRateThrottle


class Search(APIView):
    """A view whose method and path match a route of the endpoint “search”."""

    def get(self, request: Request) -> Response:
        return Response({"products": []})


class Orders(ViewSet):
    throttle_endpoint = {"list": "search", "create": "orders"}
    throttle_cost = {"create": lambda request: 7}

    def list(self, request: Request) -> Response:
        return Response([])

    def create(self, request: Request) -> Response:
        return Response({"number": 1}, status=201)


@rate_limit(endpoint="orders", cost=7)
@api_view(["POST"])
def order(request: Request) -> Response:
    return Response({"number": 1}, status=201)


@rate_limit(endpoint="search")
def plain(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"products": []})


@rate_limit(endpoint="search")
async def later(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"products": []})


class Export(APIView):
    """A view that reserves 50, and costs 3."""

    throttle_reserve = 50

    def get(self, request: Request) -> Response:
        request.rate_limit.settle(3)
        return Response([1, 2, 3])


class Uploads(APIView):
    """A view with its own rate, which needs no rules of the platform."""

    throttle_classes = (AtomicScopedRateThrottle,)
    throttle_scope = "uploads"

    def post(self, request: Request) -> Response:
        return Response(status=201)
