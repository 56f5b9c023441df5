"""Every change of rules, however it is made, is marked for the publisher."""

from collections.abc import Callable
from typing import Any

import pytest

from limits.models import ApiToken, Block, Endpoint, Plan, Platform, Policy, PolicyLimit, Route, RuleChange
from tests.models import rows

pytestmark = pytest.mark.django_db

Change = Callable[[], Any]


def acme_blocked() -> None:
    rows.block(client_key="acme")


CREATIONS: list[Change] = [rows.plan, rows.endpoint, rows.policy, rows.token, acme_blocked]
UPDATES: dict[type, dict[str, Any]] = {
    Plan: {"name": "Other"},
    Endpoint: {"cost": 2},
    Route: {"path": "/other"},
    Policy: {"mode": "shadow"},
    PolicyLimit: {"quota": 1},
    ApiToken: {"scopes": ["clients"]},
    Block: {"reason": "other"},
    Platform: {"shadow_all": True},
}


@pytest.fixture
def every_row() -> None:
    """A row in each table of rules, without marks."""
    rows.plan()
    rows.policy(endpoint=rows.endpoint("search", "GET /search"))
    rows.token()
    acme_blocked()
    Platform.load()
    RuleChange.objects.all().delete()


@pytest.mark.parametrize("create", CREATIONS, ids=lambda create: create.__name__)
def test_a_new_row_is_marked(create: Change) -> None:
    RuleChange.objects.all().delete()
    create()
    assert RuleChange.objects.exists()


@pytest.mark.parametrize(("model", "fields"), UPDATES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_queryset_update_is_marked(model: Any, fields: dict[str, Any], every_row: None) -> None:
    model.objects.update(**fields)
    assert RuleChange.objects.exists()


@pytest.mark.parametrize("model", [PolicyLimit, Policy, Route, ApiToken, Block, Plan])
def test_a_queryset_delete_is_marked(model: Any, every_row: None) -> None:
    model.objects.all().delete()
    assert RuleChange.objects.exists()


def test_routes_deleted_with_their_endpoint_are_marked(every_row: None) -> None:
    Policy.objects.all().delete()
    RuleChange.objects.all().delete()
    Endpoint.objects.all().delete()
    assert RuleChange.objects.exists()


def test_a_change_of_a_client_is_not_marked(every_row: None) -> None:
    rows.client()
    assert not RuleChange.objects.exists()
