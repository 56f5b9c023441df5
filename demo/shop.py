"""The shop: three views of Django REST Framework, protected only by the throttle class."""

from typing import Any

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ratelimit_enforcer.throttling import PolicyThrottle

KEY_HEADER = "X-Shop-Key"

PRODUCTS = ("Bicycle bell", "Bicycle light", "Bread knife", "Coffee mill", "Rain coat", "Tea pot", "Umbrella")


def shop_client(request: Request) -> str:
    """The key in the caller's header; empty for callers without one, who are identified by address."""
    return request.headers.get(KEY_HEADER, "")


class ShopView(APIView):
    """A view whose limits are set in the admin, found by method and path."""

    schema = None
    throttle_classes = (PolicyThrottle,)


class Search(ShopView):
    """``GET /shop/search?q=tea``"""

    def get(self, request: Request) -> Response:
        words = request.query_params.get("q", "").lower()
        return Response({"products": [name for name in PRODUCTS if words in name.lower()]})


class Cart(ShopView):
    """``GET /shop/cart`` and ``PUT /shop/cart/ITEM``; nothing is stored."""

    def get(self, request: Request) -> Response:
        return Response({"items": []})

    def put(self, request: Request, item: str) -> Response:
        return Response({"items": [item]})


class Orders(ShopView):
    """``POST /shop/orders`` and ``GET /shop/orders/NUMBER``"""

    def post(self, request: Request) -> Response:
        return Response({"number": 1}, status=201)

    def get(self, request: Request, number: int) -> Response:
        return Response({"number": number, "state": "packed"})


def _view(view: type[APIView], *methods: str) -> Any:
    return view.as_view(http_method_names=[*methods, "options"])


urlpatterns = [
    path("search", _view(Search, "get")),
    path("cart", _view(Cart, "get")),
    path("cart/<str:item>", _view(Cart, "put")),
    path("orders", _view(Orders, "post")),
    path("orders/<int:number>", _view(Orders, "get")),
]
