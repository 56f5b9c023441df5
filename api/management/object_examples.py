"""Examples of single objects of the config file, for the OpenAPI document."""

from typing import Any

from api.management.change_operations import DETAILS

_PLAN: dict[str, Any] = {"slug": "pro", "name": "Pro"}
_ENDPOINT: dict[str, Any] = {
    "slug": "search",
    "name": "Product search",
    "routes": ["GET /api/products/search"],
    "cost": 1,
}
_POLICY: dict[str, Any] = {
    "slug": "pro-search",
    "plan": "pro",
    "endpoint": "search",
    "limits": [{"quota": 100, "window": 60}],
}
_ALERT_RULE: dict[str, Any] = {
    "name": "search-abuse",
    "metric": "throttled",
    "threshold": 50,
    "window": 60,
    "endpoint": "search",
    "group_by": "client",
    "cooldown": 600,
    "emails": ["ops@example.com"],
}
_OVERRIDE: dict[str, Any] = {
    "client": "acme",
    "policy": "pro-search",
    "limits": [{"quota": 5000, "window": 60}],
    "starts_at": "2026-12-01T00:00:00Z",
    "ends_at": "2026-12-24T00:00:00Z",
    "reason": "Christmas sale",
}
_OF_SEGMENT: dict[str, Any] = {
    "clients": {"tags": ["wholesale"]},
    "policy": "pro-search",
    "limits": [{"quota": 500, "window": 60}],
}
_BLOCK: dict[str, Any] = {"client": "mallory", "reason": "Scraping", "ends_at": "2026-12-24T00:00:00Z"}
_OF_NETWORK: dict[str, Any] = {"network": "203.0.113.0/24", "reason": "Scraping"}

REQUESTS: dict[str, dict[str, dict[str, Any]]] = {
    "plans": {"plan": {"name": "Pro"}, "default plan": {"name": "Pro", "default": True}},
    "endpoints": {"endpoint": _ENDPOINT},
    "policies": {"policy": _POLICY},
    "alert_rules": {"alert rule": _ALERT_RULE},
    "overrides": {"of a client": _OVERRIDE, "of a segment": _OF_SEGMENT},
    "blocks": {"of a client": _BLOCK, "of a network": _OF_NETWORK},
}
"""Section → name → the body of a request."""

RESPONSES: dict[str, dict[str, Any]] = {
    "plans": _PLAN,
    "endpoints": _ENDPOINT,
    "policies": _POLICY,
    "alert_rules": _ALERT_RULE,
    "overrides": {"id": "client-12", **_OVERRIDE},
    "blocks": {"id": "7", **_BLOCK},
}
"""Section → an object."""

DRY_RUN = {"dry_run": True, "differences": ["Policy pro-search, limits: 100 per minute → 200 per minute."]}
NOT_LIVE = {"live": False, "detail": "Redis is unavailable; the change will go live automatically."}
AWAITING = {
    "live": False,
    "detail": "Another person has to approve the change set in the admin. Nothing is changed until then.",
    "change": {**DETAILS, "name": "token deploy, 20 November 2026 08:00 UTC", "state": "awaiting"},
}

_FILTERS = {
    "client": "with this client (the key)",
    "plan": "with this plan (the slug)",
    "endpoint": "with this endpoint (the slug)",
    "policy": "with this policy (the slug)",
}


def filter_text(name: str, field: str) -> str:
    """What a filter of the list does."""
    return f"Only each {name} {_FILTERS[field]}."
