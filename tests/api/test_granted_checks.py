"""Grants in checks over HTTP: what remains is exact after the store was emptied."""

from typing import Any

import pytest

from limits.models import Grant, PolicyUsage
from limits.monitoring.drain import drain
from limits.publishing.reconciler import reconcile
from limits.store.client import control_client
from ratelimit_enforcer.engine import get_engine
from tests.api.test_grants import BackOffice, office

__all__ = ["office"]

pytestmark = pytest.mark.django_db(transaction=True)


def limit_of(office: BackOffice, path: str = "/v1/peek", cost: int = 1) -> dict[str, Any]:
    body = {"client": "acme", "endpoint": "any", "cost": cost}
    limits = office.ask("POST", path, body, token=office.check).json()["limits"]
    found: dict[str, Any] = next(limit for limit in limits if limit["policy"] == "monthly")
    return found


def empty(office: BackOffice) -> None:
    redis = control_client()
    for key in redis.scan_iter(match=f"{office.keys.namespace}:*", count=1_000):
        redis.delete(key)
    assert reconcile().clients_loaded
    get_engine().refresh()


def test_the_remainder_is_right_after_the_store_was_emptied(office: BackOffice) -> None:
    office.sell(amount=10)
    assert office.admitted(8) == 8
    limit = limit_of(office)
    assert (limit["quota"], limit["remaining"], limit["granted"]) == (5, 7, 7)
    drain()
    assert (Grant.objects.get().figures.used, PolicyUsage.objects.get().granted) == (3, 3)
    empty(office)
    assert (limit_of(office)["remaining"], limit_of(office)["granted"]) == (12, 7)
    assert office.admitted(14) == 12
    limit = limit_of(office)
    assert (limit["remaining"], limit["granted"]) == (0, 0)
    empty(office)
    # What was consumed since the last drain is lost with the store, and nothing else.
    assert limit_of(office)["granted"] == 7
