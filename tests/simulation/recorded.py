"""Recorded usage for tests, and rules that are compared over it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from limits.models import Usage
from limits.simulation.comparing import Run
from limits.simulation.figures import Figures
from limits.simulation.subjects import Comparison
from ratelimit_enforcer.domain.enums import Outcome
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy, Rules
from tests.support.minute_bounds import ByEndpoint
from tests.support.recorded_requests import START

MINUTE = START // 60_000_000
BEGIN = datetime.fromtimestamp(MINUTE * 60, UTC)
HOURS = timedelta(hours=3)


def record(client: str, counts: ByEndpoint, *, denied: int = 0, cost: int = 1) -> None:
    """Writes the usage of a client: every row is one of admitted requests, and up to ``denied`` of them denied."""
    rows = []
    for endpoint, by_minute in counts.items():
        for minute, n in by_minute.items():
            parts = {Outcome.DENIED: min(n, denied), Outcome.ADMITTED: n - min(n, denied)}
            at = datetime.fromtimestamp(minute * 60, UTC)
            rows += [
                Usage(client_key=client, endpoint=endpoint, minute=at, outcome=outcome, requests=part, cost=part * cost)
                for outcome, part in parts.items()
                if part
            ]
    Usage.objects.bulk_create(rows)


def rules(*policies: Policy, endpoints: tuple[Endpoint, ...] | None = None, plans: str = "free pro") -> Rules:
    """Rules with the endpoints search and orders, and the plans free (the default) and pro."""
    if endpoints is None:
        endpoints = tuple(Endpoint(slug, slug, (Route("GET", f"/{slug}"),)) for slug in ("orders", "search"))
    named = tuple(Plan(slug, slug.title()) for slug in plans.split())
    return Rules(named, "free", endpoints, tuple(sorted(policies, key=lambda each: each.slug)))


def policy(slug: str, *limits: Limit, endpoint: str | None = "search", **fields: object) -> Policy:
    return Policy(slug, limits, endpoint=endpoint, **fields)  # type: ignore[arg-type]


def compare(before: Rules, after: Rules) -> tuple[Run, Mapping[str, tuple[Figures, ...]]]:
    """Runs a comparison over the three hours. Returns it, and the figures of clients by key."""
    run = Run(Comparison(before, after, START), BEGIN, BEGIN + HOURS, lambda percent: None)
    found = {client.client_key: figures for chunk in run.clients() for client, figures in chunk}
    return run, found


def of_all(figures: tuple[Figures, ...]) -> Figures:
    """Those of all requests of a client."""
    return next(each for each in figures if each.endpoint is None and each.policy is None)
