"""What makes a ruleset impossible to publish. Each problem says where it is."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import inf

from limits.domain.client import Override
from limits.domain.limit import MAX_COST, Limit, limit_problems
from limits.domain.problems import Location, Problem
from limits.domain.routes import PatternError, Route
from limits.domain.ruleset import Endpoint, Policy, Ruleset
from limits.domain.words import Partition

SLUG = re.compile(r"[a-z0-9-]+")
SLUG_MESSAGE = "must be small letters, digits and hyphens, such as “free-search”."
MAX_SLUG_LENGTH = 64
MAX_NAME_LENGTH = 200
MAX_REASON_LENGTH = 500
MAX_ROUTE_LENGTH = 500

PRINTABLE = re.compile(r"\A[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*\Z")
NOT_PRINTABLE = "must not contain control characters."


def slug_problem(slug: str) -> str | None:
    """Why this cannot be a slug, or None."""
    if len(slug) > MAX_SLUG_LENGTH:
        return f"must have at most {MAX_SLUG_LENGTH} characters."
    return None if SLUG.fullmatch(slug) else SLUG_MESSAGE


def route_problem(text: str) -> str | None:
    """Why this cannot be a route pattern, or None."""
    try:
        Route.parse(text)
    except PatternError as error:
        return str(error)
    return None


def cost_problem(cost: int) -> str | None:
    """Why this cannot be an endpoint's cost, or None."""
    return None if 1 <= cost <= MAX_COST else f"must be between 1 and {MAX_COST:,}."


def limits_problems(limits: Sequence[Limit]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields (place below the policy or override, message) for its limits together."""
    if not limits:
        yield ("limits",), "must hold at least one limit."
    labels: set[str] = set()
    for at, limit in enumerate(limits):
        wrong = [(("limits", at, field), message) for field, message in limit_problems(limit)]
        yield from wrong
        is_known = limit.label in labels
        labels.add(limit.label)
        if is_known and not wrong:
            yield (
                ("limits", at),
                f"another limit is named “{limit.label}” already: one algorithm and window, one limit.",
            )


def ruleset_problems(ruleset: Ruleset) -> Iterator[Problem]:
    """Yields everything that is wrong with a ruleset."""
    yield from _slug_problems(ruleset)
    yield from _plan_problems(ruleset)
    for endpoint in ruleset.endpoints:
        yield from _endpoint_problems(endpoint)
    yield from _route_conflicts(ruleset.endpoints)
    endpoints = frozenset(endpoint.slug for endpoint in ruleset.endpoints)
    for policy in ruleset.policies:
        yield from _policy_problems(policy, ruleset.plan_slugs, endpoints)


def override_problems(location: Location, override: Override, ruleset: Ruleset) -> Iterator[Problem]:
    """Yields what is wrong with one client's override of a policy of this ruleset."""
    policy = next((policy for policy in ruleset.policies if policy.slug == override.policy), None)
    if policy is None:
        yield Problem((*location, "policy"), f"there is no policy “{override.policy}”.")
    elif policy.partition is not Partition.CLIENT:
        yield Problem((*location, "policy"), "only a policy that counts each client by itself can be overridden.")
    if None not in (override.starts_at, override.ends_at) and override.ends_at <= override.starts_at:  # type: ignore[operator]
        yield Problem((*location, "ends_at"), "must be after the start.")
    for place, message in limits_problems(override.limits):
        yield Problem((*location, *place), message)


def overlaps(first: Override, second: Override) -> bool:
    """Whether two overrides of one client and policy are in force at one moment."""

    def begins_before_end(one: Override, other: Override) -> bool:
        return one.starts_at is None or other.ends_at is None or one.starts_at < other.ends_at

    same = first.policy == second.policy
    return same and begins_before_end(first, second) and begins_before_end(second, first)


def overlapping(overrides: Sequence[Override]) -> Iterator[tuple[int, int]]:
    """Yields (position, an earlier position) of overrides of one client and policy that are in force
    at one moment: each with the one that lasts longest of those that start before it."""
    by_start = sorted(range(len(overrides)), key=lambda at: _start(overrides[at]))
    longest = by_start[0] if by_start else 0
    for at in by_start[1:]:
        if overlaps(overrides[at], overrides[longest]):
            yield max(at, longest), min(at, longest)
        if _end(overrides[at]) > _end(overrides[longest]):
            longest = at


def _start(override: Override) -> float:
    return -inf if override.starts_at is None else override.starts_at


def _end(override: Override) -> float:
    return inf if override.ends_at is None else override.ends_at


def _slug_problems(ruleset: Ruleset) -> Iterator[Problem]:
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("plans", (plan.slug for plan in ruleset.plans)),
        ("endpoints", (endpoint.slug for endpoint in ruleset.endpoints)),
        ("policies", (policy.slug for policy in ruleset.policies)),
    )
    for section, slugs in sections:
        for slug, count in Counter(slugs).items():
            if message := slug_problem(slug):
                yield Problem((section, slug, "slug"), message)
            if count > 1:
                yield Problem((section, slug, "slug"), "is used twice.")


def _plan_problems(ruleset: Ruleset) -> Iterator[Problem]:
    slugs = {plan.slug for plan in ruleset.plans}
    if slugs and ruleset.default_plan is None:
        yield Problem(("plans",), "one plan must be the default.")
    elif ruleset.default_plan is not None and ruleset.default_plan not in slugs:
        yield Problem(("plans",), f"there is no plan “{ruleset.default_plan}” to be the default.")


def _endpoint_problems(endpoint: Endpoint) -> Iterator[Problem]:
    if message := cost_problem(endpoint.cost):
        yield Problem(("endpoints", endpoint.slug, "cost"), message)


def _route_conflicts(endpoints: Sequence[Endpoint]) -> Iterator[Problem]:
    owners: dict[str, tuple[str, int, Route]] = {}
    for endpoint in endpoints:
        for at, route in enumerate(endpoint.routes):
            owner, position, other = owners.setdefault(route.shape, (endpoint.slug, at, route))
            if (owner, position) != (endpoint.slug, at):
                where = "twice" if owner == endpoint.slug else f"as “{other}” of endpoint “{owner}” already"
                yield Problem(("endpoints", endpoint.slug, "routes", at), f"“{route}” is there {where}.")


def _policy_problems(policy: Policy, plans: frozenset[str], endpoints: frozenset[str]) -> Iterator[Problem]:
    here: Location = ("policies", policy.slug)
    if policy.plan is not None and policy.plan not in plans:
        yield Problem((*here, "plan"), f"there is no plan “{policy.plan}”.")
    if policy.endpoint is not None and policy.endpoint not in endpoints:
        yield Problem((*here, "endpoint"), f"there is no endpoint “{policy.endpoint}”.")
    for place, message in limits_problems(policy.limits):
        yield Problem((*here, *place), message)
