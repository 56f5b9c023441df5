"""Rows for tests: each function saves a row and returns it."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from limits.models import (
    AlertRule,
    ApiToken,
    Block,
    ChangeSet,
    Client,
    Endpoint,
    Grant,
    Override,
    OverrideLimit,
    Plan,
    Policy,
    PolicyLimit,
    Route,
    SegmentOverride,
    SegmentOverrideLimit,
    SimulatedClient,
    Simulation,
)


def plan(slug: str = "free", **fields: Any) -> Plan:
    return Plan.objects.create(slug=slug, **{"name": slug.title()} | fields)


def default_plan(slug: str = "free") -> Plan:
    return plan(slug, is_default=True)


def endpoint(slug: str = "search", *routes: str, **fields: Any) -> Endpoint:
    row = Endpoint.objects.create(slug=slug, **{"name": slug.title()} | fields)
    for text in routes:
        route(row, text)
    return row


def route(row: Endpoint, text: str) -> Route:
    method, path = text.split()
    return Route.objects.create(endpoint=row, method=method, path=path)


def policy(slug: str = "all", quota: int = 100, **fields: Any) -> Policy:
    """A policy with one limit: ``quota`` per minute."""
    row = Policy.objects.create(slug=slug, **fields)
    limit(row, quota=quota)
    return row


def limit(row: Policy, **fields: Any) -> PolicyLimit:
    return PolicyLimit.objects.create(policy=row, **{"quota": 100, "window": 60} | fields)


def client(key: str = "acme", **fields: Any) -> Client:
    """A client with the values that the database has set."""
    row = Client.objects.create(key=key, **fields)
    row.refresh_from_db()
    return row


def override(client: Client, policy: Policy, **fields: Any) -> Override:
    """An override without limits."""
    return Override.objects.create(client=client, policy=policy, **fields)


def override_limit(row: Override, **fields: Any) -> OverrideLimit:
    return OverrideLimit.objects.create(override=row, **{"quota": 500, "window": 60} | fields)


def grant(client: Client, policy: Policy, amount: int = 1_000, *, days: float = 30, **fields: Any) -> Grant:
    """A grant that began an hour ago and ends in so many days."""
    now = datetime.now(UTC)
    dates = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(days=days)}
    return Grant.objects.create(client=client, policy=policy, amount=amount, **dates | fields)


def monthly_policy(slug: str = "monthly", quota: int = 100, **fields: Any) -> Policy:
    """A policy with one limit: ``quota`` per month."""
    row = Policy.objects.create(slug=slug, **fields)
    limit(row, quota=quota, window=None, algorithm="calendar", period="month")
    return row


def segment_override(policy: Policy, quota: int = 500, **fields: Any) -> SegmentOverride:
    """An override of a segment with one limit: ``quota`` per minute."""
    row = SegmentOverride.objects.create(policy=policy, **fields)
    SegmentOverrideLimit.objects.create(override=row, quota=quota, window=60)
    return row


def block(reason: str = "abuse", **fields: Any) -> Block:
    return Block.objects.create(reason=reason, **fields)


def token(name: str = "shop", **fields: Any) -> ApiToken:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ApiToken.objects.create(name=name, **{"digest": digest, "hint": "1234", "scopes": ["check"]} | fields)


def alert_rule(name: str = "abuse", **fields: Any) -> AlertRule:
    """An alert rule for 50 denied requests in a minute, with the operators as recipients."""
    return AlertRule.objects.create(name=name, **{"threshold": 50, "emails": ["ops@example.com"]} | fields)


def simulation(**fields: Any) -> Simulation:
    """A simulation over the last hour of the year 2026, of a change set of its own."""
    end = datetime(2027, 1, 1, tzinfo=UTC)
    change_set = fields.pop("change_set", None) or ChangeSet.objects.create(name="tighter", author="ann")
    times = {"begin": end - timedelta(hours=1), "end": end, "in_force_at": end}
    return Simulation.objects.create(**times | {"change_set": change_set, "author": "ann"} | fields)


def simulated_client(row: Simulation, key: str, **fields: Any) -> SimulatedClient:
    """A client with 100 requests, of which 10 are denied after a change."""
    bounds = {"requests": 100, "before_least": 0, "before_most": 0, "after_least": 10, "after_most": 10}
    return SimulatedClient.objects.create(simulation=row, client_key=key, **bounds | fields)
