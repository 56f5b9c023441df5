"""Attributes of requests to views: from the settings, from the view, and the address by default."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from pytest_django import Settings
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.domain.attributes import Match
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.request_attributes import attributes_of
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.api.conftest import SHOP
from tests.support.servers import Store

ONE = (Limit(1, 3_600),)
REGION = f"{__name__}.region"


def region(request: Request | HttpRequest) -> str | None:
    return request.headers.get("X-Region")


def request_of(client: str = "ann", address: str = "192.0.2.7", **headers: str) -> HttpRequest:
    made: HttpRequest = APIRequestFactory().get(
        "/api/search", headers={"X-Key": client, **headers}, REMOTE_ADDR=address
    )
    return made


def limit(store: Store, *attributes: str, **fields: Any) -> None:
    store.publish(replace(SHOP, policies=(Policy("one", ONE, attributes=attributes, **fields),)))


class View(APIView):
    throttle_classes = (PolicyThrottle,)

    def get(self, request: Request) -> Response:
        return Response({})


def view(**attributes: Any) -> Callable[..., HttpResponse]:
    made: Callable[..., HttpResponse] = type("Named", (View,), attributes).as_view()
    return made


def test_the_address_is_an_attribute_of_each_request(keyed_shop: Store) -> None:
    limit(keyed_shop, "ip", partition=Partition.GLOBAL)
    addresses = ("192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8")
    statuses = [view()(request_of(f"client-{at}", each)).status_code for at, each in enumerate(addresses)]
    assert statuses == [200, 429, 429, 200]


def test_an_attribute_of_the_settings(keyed_shop: Store, settings: Settings) -> None:
    limit(keyed_shop, "region")
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"ATTRIBUTES": {"region": REGION}}
    statuses = [view()(request_of(**{"X-Region": each})).status_code for each in ("eu", "eu", "us")]
    assert statuses == [200, 429, 200]


MODELS: dict[str, Any] = {
    "a value": {"model": "a"},
    "a function of the request": {"model": lambda request: request.query_params.get("none", "a")},
    "a function that returns all": lambda request: {"model": "a"},
}


@pytest.mark.parametrize("given", MODELS.values(), ids=MODELS)
def test_attributes_of_a_view(keyed_shop: Store, given: Any) -> None:
    limit(keyed_shop, "model")
    limited = view(throttle_attributes=given)
    assert [limited(request_of()).status_code for _ in range(2)] == [200, 429]
    assert view(throttle_attributes={"model": "b"})(request_of()).status_code == 200


@pytest.mark.parametrize("given", [{"model": "a"}, lambda request: {"model": lambda same: same.headers["X-Key"]}])
def test_attributes_of_a_decorated_view(keyed_shop: Store, given: Any) -> None:
    limit(keyed_shop, "model")

    @rate_limit(attributes=given)
    def plain(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    @rate_limit(attributes=given)
    @api_view(["GET"])
    def of_framework(request: Request) -> Response:
        return Response()

    assert [plain(request_of()).status_code for _ in range(2)] == [200, 429]
    assert of_framework(request_of()).status_code == 429
    assert of_framework(request_of("bob")).status_code == 200


def test_a_condition_on_an_attribute(keyed_shop: Store) -> None:
    limit(keyed_shop, match=Match((("model", ("gpt-*",)),)))
    for model, expected in (("gpt-x", [200, 429]), ("o1", [200, 200])):
        limited = view(throttle_attributes={"model": model})
        assert [limited(request_of()).status_code for _ in range(2)] == expected


def test_functions_are_called_only_if_a_policy_asks(keyed_shop: Store) -> None:
    limit(keyed_shop)
    assert view(throttle_attributes={"model": lambda request: 1 / 0})(request_of()).status_code == 200
    limit(keyed_shop, "model")
    with pytest.raises(ZeroDivisionError):
        view(throttle_attributes={"model": lambda request: 1 / 0})(request_of())


def test_the_view_takes_precedence_over_the_settings_and_these_over_the_address(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = {"ATTRIBUTES": {"region": REGION, "ip": REGION}}
    request = request_of(**{"X-Region": "198.51.100.1"})
    assert attributes_of(request) == {"ip": "198.51.100.1", "region": "198.51.100.1"}
    assert attributes_of(request, {"region": "eu", "ip": None}) == {"region": "eu"}


def test_long_values_are_cut_and_empty_ones_are_none() -> None:
    assert attributes_of(request_of(), {"model": "x" * 300, "region": ""}) == {"ip": "192.0.2.7", "model": "x" * 256}


@pytest.mark.parametrize(
    ("given", "message"), [({"model": 7}, "attribute model of a request must be a string"), ({"A": "x"}, "attribute A")]
)
def test_a_wrong_attribute_is_a_mistake_of_the_project(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        attributes_of(request_of(), given)


def test_a_caller_without_an_address_has_no_address() -> None:
    assert attributes_of(request_of(address="")) == {}


def test_a_blocked_network_denies_its_addresses_in_views(keyed_shop: Store, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"ATTRIBUTES": {"region": REGION}}
    keyed_shop.publish(replace(SHOP, blocks=(Block(network="192.0.2.0/25", reason="scraping"),)))
    addresses = ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.128")
    assert [view()(request_of(address=address)).status_code for address in addresses] == [403, 403, 200]
