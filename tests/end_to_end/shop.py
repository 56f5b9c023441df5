"""Helpers for rules and checks in tests of complete servers."""

from typing import Any

import httpx

from limits.models import Plan, Policy, PolicyLimit
from limits.publishing import rules
from tests.support.web import WebServer

CONNECTIONS = 32
SECRET = "rl_of_the_test"


def publish() -> int:
    """Publishes the rules in the database, and returns the live version."""
    rules.record("test")
    delivery = rules.deliver()
    assert delivery.live
    assert delivery.version
    return delivery.version


def policy(slug: str, *limits: tuple[int, int], plan: str | None = None) -> Policy:
    row = Policy.objects.create(slug=slug, plan=Plan.objects.get(slug=plan) if plan else None)
    PolicyLimit.objects.bulk_create(PolicyLimit(policy=row, quota=quota, window=window) for quota, window in limits)
    return row


def ask(http: httpx.Client, server: WebServer, verb: str = "check", client: str = "acme") -> dict[str, Any]:
    answer = http.post(f"{server.url}/v1/{verb}", json={"client": client, "endpoint": "search"})
    body: dict[str, Any] = answer.json()
    return body | {"status": answer.status_code}
