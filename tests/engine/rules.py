"""Rules for the engine's tests."""

from dataclasses import replace

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import Mode, OnStoreFailure
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset

SEARCH = Endpoint("search", "Search", (Route("GET", "/search"),))
ORDERS = Endpoint("orders", "Orders", (Route("POST", "/orders"),), cost=5)


def ruleset(*policies: Policy, **fields: object) -> Ruleset:
    """A ruleset with the plans free (the default) and pro, the endpoints search and orders, and these policies."""
    plans = (Plan("free", "Free"), Plan("pro", "Pro"))
    made = Ruleset(plans=plans, default_plan="free", endpoints=(ORDERS, SEARCH), policies=policies)
    return replace(made, **fields)  # type: ignore[arg-type]


def policy(slug: str, *limits: Limit, **fields: object) -> Policy:
    return replace(Policy(slug, limits), **fields)  # type: ignore[arg-type]


def per_hour(quota: int) -> Limit:
    return Limit(quota, 3_600)


def simple(quota: int, on_store_failure: OnStoreFailure = OnStoreFailure.DENY) -> Ruleset:
    """Every client has a quota of ``quota`` per hour."""
    return ruleset(policy("all", per_hour(quota), on_store_failure=on_store_failure))


def record(key: str, revision: int, **fields: object) -> ClientRecord:
    return replace(ClientRecord(key, revision), **fields)  # type: ignore[arg-type]


SHADOW = Mode.SHADOW
