"""The ruleset: every rule that a check needs, compiled from the database rows, immutable, with a version.

Clients are not part of it: there may be a million, and each is published separately
(:mod:`ratelimit_enforcer.domain.client`).
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ratelimit_enforcer.domain.attributes import ALWAYS, CLIENT, Match, conditions_of, match_of
from ratelimit_enforcer.domain.blocks import Block, Blocks, block_from_json, block_to_json
from ratelimit_enforcer.domain.dates import is_between
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OnStoreFailure, Partition, Period, Scope
from ratelimit_enforcer.domain.limit import Limit, unknown_timezone
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.segments import Segment, SegmentOverride, SegmentOverrides
from ratelimit_enforcer.per_process import cached_property

FORMATS = (1, 2, 3, 4)
"""The versions of this serialization that this release reads. A ruleset is written in the earliest one that can
express it, so that servers of earlier releases can use it as long as possible; they reject a later one.

2: policies with dates, attributes or conditions; calendar years; overrides of segments; blocks.
3: concurrency limits.
4: tokens with the scope ``adjust``.
"""


class UnreadableRuleset(ValueError):
    """This process cannot use the ruleset in these bytes; the message says why."""


class UnknownFormat(UnreadableRuleset):
    """The ruleset has a format that this release cannot read."""


class UnknownTimezone(UnreadableRuleset):
    """A limit uses a time zone that this machine does not know."""


@dataclass(frozen=True, slots=True)
class Version:
    """Identifies a ruleset; compared for equality only, as the token ``epoch:sequence:digest``.

    ``epoch`` belongs to one database, ``sequence`` increases with each publication, ``digest`` is the
    SHA-256 of the ruleset's bytes in hexadecimal.
    """

    epoch: str
    sequence: int
    digest: str

    @classmethod
    def parse(cls, token: str) -> "Version":
        """Parses a token. Raises ``ValueError`` if it is malformed."""
        epoch, sequence, digest = token.split(":")
        return cls(epoch, int(sequence), digest)

    def __str__(self) -> str:
        return f"{self.epoch}:{self.sequence}:{self.digest}"


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


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A published API token: the SHA-256 digest of the token in hexadecimal, and the scopes."""

    name: str
    digest: str
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Ruleset:
    """All rules of one version. Tuples are sorted by slug or name, so that equal rules have equal bytes."""

    plans: tuple[Plan, ...] = ()
    default_plan: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    policies: tuple[Policy, ...] = ()
    tokens: tuple[ApiToken, ...] = ()
    shadow_all: bool = False
    segment_overrides: tuple[SegmentOverride, ...] = ()
    """In the order of their ids: of two that are equally specific, the first applies."""
    blocks: tuple[Block, ...] = ()
    """Sorted by subject."""

    @cached_property
    def plan_slugs(self) -> frozenset[str]:
        """The slugs of all plans."""
        return frozenset(plan.slug for plan in self.plans)

    @cached_property
    def overrides_by_segment(self) -> SegmentOverrides:
        """The overrides of segments, prepared for finding those of one client."""
        return SegmentOverrides(self.segment_overrides)

    @cached_property
    def blocks_by_subject(self) -> Blocks:
        """The blocks, prepared for finding those of one check."""
        return Blocks(self.blocks)

    def mode_of(self, policy: Policy) -> Mode:
        """The policy's mode, with the emergency switch applied."""
        if self.shadow_all and policy.mode is Mode.ENFORCE:
            return Mode.SHADOW
        return policy.mode

    def to_bytes(self) -> bytes:
        """The canonical serialization: UTF-8 JSON with sorted keys and no spaces."""
        return json.dumps(_as_json(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Ruleset":
        """Parses the bytes that :meth:`to_bytes` returned. Raises :class:`UnreadableRuleset`."""
        try:
            content = json.loads(data)
            if content.get("format") not in FORMATS:
                raise UnknownFormat(
                    f"Ruleset format {content.get('format')!r}; this release reads formats up to {FORMATS[-1]}."
                )
            return cls._from_json(content)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            if isinstance(error, UnreadableRuleset):
                raise
            raise UnreadableRuleset(f"The data is not a ruleset: {type(error).__name__}.") from error

    def require_known_timezones(self) -> None:
        """Raises :class:`UnknownTimezone` for a zone that this machine does not know."""
        limits = [(f"Policy {policy.slug}", policy.limits) for policy in self.policies]
        limits += [(f"An override of policy {each.policy}", each.limits) for each in self.segment_overrides]
        for owner, used in limits:
            if zone := unknown_timezone(used):
                raise UnknownTimezone(
                    f"{owner} uses the time zone “{zone}”, which this machine does not have: "
                    "upgrade the package tzdata, or choose another zone."
                )

    @classmethod
    def _from_json(cls, content: dict[str, Any]) -> "Ruleset":
        return cls(
            plans=tuple(Plan(**plan) for plan in content["plans"]),
            default_plan=content["default_plan"],
            endpoints=tuple(_endpoint(item) for item in content["endpoints"]),
            policies=tuple(_policy(item) for item in content["policies"]),
            tokens=tuple(_token(item) for item in content["tokens"]),
            shadow_all=content["shadow_all"],
            segment_overrides=tuple(_segment_override(item) for item in content.get("segment_overrides", ())),
            blocks=tuple(block_from_json(item) for item in content.get("blocks", ())),
        )


def domains_of(slug: str) -> tuple[str, ...]:
    """The domains that the endpoint with this slug is in, from the longest to the shortest: ``shop-eu-search``,
    ``shop-eu`` and ``shop``."""
    parts = slug.split("-")
    return tuple("-".join(parts[:count]) for count in range(len(parts), 0, -1))


def digest_of(data: bytes) -> str:
    """The digest of these ruleset bytes, as used in :class:`Version`."""
    return hashlib.sha256(data).hexdigest()


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


def _as_json(ruleset: Ruleset) -> dict[str, Any]:
    segments = [_segment_override_as_json(override) for override in ruleset.segment_overrides]
    blocks = [block_to_json(block) for block in ruleset.blocks]
    return {
        "format": _format_of(ruleset),
        "plans": [{"slug": plan.slug, "name": plan.name} for plan in ruleset.plans],
        "default_plan": ruleset.default_plan,
        "endpoints": [
            {"slug": item.slug, "name": item.name, "routes": [str(route) for route in item.routes], "cost": item.cost}
            for item in ruleset.endpoints
        ],
        "policies": [_policy_as_json(policy) for policy in ruleset.policies],
        "tokens": [
            {"name": token.name, "digest": token.digest, "scopes": sorted(token.scopes)} for token in ruleset.tokens
        ],
        "shadow_all": ruleset.shadow_all,
        **({"segment_overrides": segments} if segments else {}),
        **({"blocks": blocks} if blocks else {}),
    }


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


def _format_of(ruleset: Ruleset) -> int:
    if any(Scope.ADJUST in token.scopes for token in ruleset.tokens):
        return 4
    owners: tuple[Policy | SegmentOverride, ...] = (*ruleset.policies, *ruleset.segment_overrides)
    if any(limit.algorithm is Algorithm.CONCURRENCY for owner in owners for limit in owner.limits):
        return 3
    return 2 if ruleset.segment_overrides or ruleset.blocks or any(map(_needs_format_2, ruleset.policies)) else 1


def _needs_format_2(policy: Policy) -> bool:
    return bool(policy.dates or policy.attributes or policy.match) or any(
        limit.period is Period.YEAR for limit in policy.limits
    )


def _policy_as_json(policy: Policy) -> dict[str, Any]:
    optional = {
        "starts_at": policy.starts_at,
        "ends_at": policy.ends_at,
        "attributes": list(policy.attributes) or None,
        "match": conditions_of(policy.match) or None,
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
    )


def _token(item: dict[str, Any]) -> ApiToken:
    return ApiToken(item["name"], item["digest"], frozenset(Scope(scope) for scope in item["scopes"]))
