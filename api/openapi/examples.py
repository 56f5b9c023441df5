"""Examples of requests and responses."""

from typing import Any

from api.problems import ProblemType

BY_ENDPOINT: dict[str, Any] = {"client": "acme", "endpoint": "search", "cost": 1}
WITH_ATTRIBUTES: dict[str, Any] = BY_ENDPOINT | {"attributes": {"ip": "192.0.2.7", "model": "gpt-x"}}
BY_ROUTE: dict[str, Any] = {"client": "acme", "method": "GET", "path": "/api/products/search"}

_LIMIT: dict[str, Any] = {
    "name": "pro-search:60s",
    "policy": "pro-search",
    "client": "acme",
    "algorithm": "sliding_window",
    "mode": "enforce",
    "quota": 100,
    "window": 60,
    "burst": None,
    "allowed": True,
    "remaining": 41,
    "reset_after": 31.2,
    "next_capacity_after": 0.4,
    "retry_after": None,
}

ADMITTED: dict[str, Any] = {
    "allowed": True,
    "reason": None,
    "client": "acme",
    "plan": "pro",
    "endpoint": "search",
    "cost": 1,
    "reservation": None,
    "expires_at": None,
    "limit": 100,
    "remaining": 41,
    "reset_after": 31.2,
    "next_capacity_after": 0.4,
    "retry_after": None,
    "degraded": False,
    "ruleset": 17,
    "limits": [_LIMIT],
}

_NO_FIGURES = dict.fromkeys(("limit", "remaining", "reset_after", "next_capacity_after", "retry_after"))

DENIED: dict[str, Any] = ADMITTED | {
    "allowed": False,
    "reason": "limit",
    "remaining": 0,
    "reset_after": 59.8,
    "next_capacity_after": 12.7,
    "retry_after": 12.7,
    "limits": [_LIMIT | {"allowed": False, "remaining": 0, "next_capacity_after": 12.7, "retry_after": 12.7}],
    "violated-policies": ["pro-search:60s"],
}
BLOCKED: dict[str, Any] = ADMITTED | _NO_FIGURES | {"allowed": False, "reason": "blocked", "limits": []}
UNDECIDED: dict[str, Any] = BLOCKED | {"reason": "store_unavailable", "degraded": True}


BATCH: dict[str, Any] = {"checks": [BY_ENDPOINT, BY_ROUTE]}
BATCH_RESULTS: dict[str, Any] = {
    "results": [
        {"status": 200, **ADMITTED},
        {"status": 429, **{name: value for name, value in DENIED.items() if name != "violated-policies"}},
    ]
}
USAGE: dict[str, Any] = {
    "client": "acme",
    "plan": "pro",
    "status": "active",
    "degraded": False,
    "ruleset": 17,
    "limits": [{"endpoint": "search", **_LIMIT}],
}


def problem(kind: ProblemType, members: dict[str, Any]) -> dict[str, Any]:
    """Returns an example of a problem document of this kind, with ``members`` as its extension members."""
    return {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": kind.explanation, **members}


METRICS = """# HELP ratelimit_decisions_total Requests decided, peeks excluded.
# TYPE ratelimit_decisions_total counter
ratelimit_decisions_total{endpoint="search",outcome="admitted"} 1027.0
"""
