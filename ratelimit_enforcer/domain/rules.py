"""The rules that people edit as one: plans, endpoints, policies, and overrides of segments."""

from dataclasses import dataclass
from typing import Any

from ratelimit_enforcer.domain.attributes import ALWAYS, CLIENT, Match, conditions_of, match_of
from ratelimit_enforcer.domain.dates import is_between
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OnStoreFailure, OverQuota, Partition, Period
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.segments import Segment, SegmentOverride, SegmentOverrides
from ratelimit_enforcer.per_process import cached_property


@dataclass(frozen=True, slots=True)
class Plan:
    """A tier of service, which clients are on and which policies may refer to."""

    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A protected part of an API. ``cost`` is the cost of a request if the caller names none."""

    slug: str
    name: str
    routes: tuple[Route, ...] = ()
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits for a plan (None: every plan) on an endpoint (None: all requests together), from ``starts_at`` until
    ``ends_at`` (microseconds since 1970, the end excluded; None: open-ended)."""

    slug: str
    limits: tuple[Limit, ...]
    plan: str | None = None
    endpoint: str | None = None
    partition: Partition = Partition.CLIENT
    mode: Mode = Mode.ENFORCE
    on_store_failure: OnStoreFailure = OnStoreFailure.LOCAL
    starts_at: int | None = None
    ends_at: int | None = None
    attributes: tuple[str, ...] = ()
    """The attributes whose values the policy counts separately, in addition to the partition."""
    match: Match = ALWAYS
    """The conditions on which the policy applies."""
    over_quota: OverQuota = OverQuota.DENY
    """Of the calendar limits, also those of overrides; all other limits deny."""

    def name_of(self, limit: Limit) -> str:
        """The limit's name in answers and headers: ``pro-search:60s``."""
        return f"{self.slug}:{limit.label}"

    def applies_to(self, plan: str | None, endpoint: str | None) -> bool:
        """Whether this policy applies to a request to ``endpoint`` by a client on ``plan`` (None: on no plan)."""
        return self.plan in (None, plan) and self.endpoint in (None, endpoint)

    @property
    def partition_names(self) -> tuple[str, ...]:
        """What the policy counts separately, as the config file lists it: ``client`` and attributes; empty: nothing."""
        client = (CLIENT,) if self.partition is Partition.CLIENT else ()
        return client + self.attributes

    def is_active(self, now: int) -> bool:
        """Whether the policy is in force at ``now`` (microseconds since 1970)."""
        return is_between(now, self.starts_at, self.ends_at)

    @property
    def dates(self) -> tuple[int, ...]:
        """The moments at which the policy begins and ceases to apply, in microseconds since 1970."""
        return tuple(date for date in (self.starts_at, self.ends_at) if date is not None)


@dataclass(frozen=True)
class Rules:
    """Tuples are sorted by slug or name, so that equal rules have equal bytes."""

    plans: tuple[Plan, ...] = ()
    default_plan: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    policies: tuple[Policy, ...] = ()
    segment_overrides: tuple[SegmentOverride, ...] = ()
    """In the order of their ids: of two that are equally specific, the first applies."""

    @cached_property
    def plan_slugs(self) -> frozenset[str]:
        """The slugs of all plans."""
        return frozenset(plan.slug for plan in self.plans)

    @cached_property
    def overrides_by_segment(self) -> SegmentOverrides:
        """The overrides of segments, prepared for finding those of one client."""
        return SegmentOverrides(self.segment_overrides)


def domains_of(slug: str) -> tuple[str, ...]:
    """The domains that the endpoint with this slug is in, from the longest to the shortest: ``shop-eu-search``,
    ``shop-eu`` and ``shop``."""
    parts = slug.split("-")
    return tuple("-".join(parts[:count]) for count in range(len(parts), 0, -1))


def limit_to_json(limit: Limit) -> dict[str, Any]:
    """A limit as the config file spells it, without the fields that are None."""
    fields: dict[str, Any] = {"quota": limit.quota, "algorithm": limit.algorithm.value}
    period = limit.period.value if limit.period else None
    optional = {"window": limit.window, "burst": limit.burst, "period": period, "timezone": limit.timezone}
    return fields | {name: value for name, value in optional.items() if value is not None}


def limit_from_json(item: dict[str, Any]) -> Limit:
    """Parses the object that :func:`limit_to_json` returned. Raises ``KeyError`` for a missing field, and
    ``ValueError`` for an unknown algorithm or period; numbers are not checked."""
    period = item.get("period")
    return Limit(
        quota=item["quota"],
        window=item.get("window"),
        algorithm=Algorithm(item["algorithm"]),
        burst=item.get("burst"),
        period=Period(period) if period else None,
        timezone=item.get("timezone"),
    )


def rules_to_json(rules: Rules) -> dict[str, Any]:
    """The rules as in the published ruleset."""
    segments = [_segment_override_as_json(override) for override in rules.segment_overrides]
    return {
        "plans": [{"slug": plan.slug, "name": plan.name} for plan in rules.plans],
        "default_plan": rules.default_plan,
        "endpoints": [
            {"slug": item.slug, "name": item.name, "routes": [str(route) for route in item.routes], "cost": item.cost}
            for item in rules.endpoints
        ],
        "policies": [_policy_as_json(policy) for policy in rules.policies],
        **({"segment_overrides": segments} if segments else {}),
    }


def rules_from_json(content: dict[str, Any]) -> Rules:
    """Parses the object that :func:`rules_to_json` returned; further fields are ignored. Raises ``KeyError``,
    ``TypeError`` and ``ValueError``."""
    return Rules(
        plans=tuple(Plan(**plan) for plan in content["plans"]),
        default_plan=content["default_plan"],
        endpoints=tuple(_endpoint(item) for item in content["endpoints"]),
        policies=tuple(_policy(item) for item in content["policies"]),
        segment_overrides=tuple(_segment_override(item) for item in content.get("segment_overrides", ())),
    )


def _segment_override_as_json(override: SegmentOverride) -> dict[str, Any]:
    segment = override.segment
    return {
        "prefix": segment.prefix,
        "tags": list(segment.tags),
        "plan": segment.plan,
        "policy": override.policy,
        "limits": [limit_to_json(limit) for limit in override.limits],
        "starts_at": override.starts_at,
        "ends_at": override.ends_at,
    }


def _segment_override(item: dict[str, Any]) -> SegmentOverride:
    return SegmentOverride(
        segment=Segment(item["prefix"], tuple(item["tags"]), item["plan"]),
        policy=item["policy"],
        limits=tuple(limit_from_json(limit) for limit in item["limits"]),
        starts_at=item["starts_at"],
        ends_at=item["ends_at"],
    )


def _policy_as_json(policy: Policy) -> dict[str, Any]:
    optional = {
        "starts_at": policy.starts_at,
        "ends_at": policy.ends_at,
        "attributes": list(policy.attributes) or None,
        "match": conditions_of(policy.match) or None,
        "over_quota": policy.over_quota.value if policy.over_quota is not OverQuota.DENY else None,
    }
    return {
        "slug": policy.slug,
        "plan": policy.plan,
        "endpoint": policy.endpoint,
        "partition": policy.partition.value,
        "mode": policy.mode.value,
        "on_store_failure": policy.on_store_failure.value,
        "limits": [limit_to_json(limit) for limit in policy.limits],
    } | {name: value for name, value in optional.items() if value is not None}


def _endpoint(item: dict[str, Any]) -> Endpoint:
    routes = tuple(Route.parse(route) for route in item["routes"])
    return Endpoint(slug=item["slug"], name=item["name"], routes=routes, cost=item["cost"])


def _policy(item: dict[str, Any]) -> Policy:
    return Policy(
        slug=item["slug"],
        plan=item["plan"],
        endpoint=item["endpoint"],
        partition=Partition(item["partition"]),
        mode=Mode(item["mode"]),
        on_store_failure=OnStoreFailure(item["on_store_failure"]),
        limits=tuple(limit_from_json(limit) for limit in item["limits"]),
        starts_at=item.get("starts_at"),
        ends_at=item.get("ends_at"),
        attributes=tuple(item.get("attributes", ())),
        match=match_of(item.get("match", {})),
        over_quota=OverQuota(item.get("over_quota", OverQuota.DENY)),
    )
