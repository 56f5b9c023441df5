"""Validates a ruleset before it is published. Each problem names its location.

The messages are defined once, and are shown in forms, by commands and for config files.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from ratelimit_enforcer.domain.addresses import parse_network
from ratelimit_enforcer.domain.attributes import (
    CLIENT_TAGS,
    MAX_ATTRIBUTES,
    conditions_of,
    match_of,
    match_problems,
    name_problem,
)
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.client import Override, key_problem
from ratelimit_enforcer.domain.enums import Algorithm, OverQuota, Partition
from ratelimit_enforcer.domain.limit import MAX_COST, Limit, limit_problems, longest_calendar_limit
from ratelimit_enforcer.domain.routes import PatternError, Route
from ratelimit_enforcer.domain.rules import Endpoint, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.segments import Segment, SegmentOverride

Location = tuple[str | int, ...]
"""The location of a problem: a section, a slug or key, then fields and positions, such as
``("policies", "free-search", "limits", 0, "quota")``."""


@dataclass(frozen=True, slots=True)
class ValidationProblem:
    """One problem and its location."""

    location: Location
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.location))}: {self.message}"


def capitalized(text: str) -> str:
    """The text with a capital letter at its beginning, as a sentence of its own."""
    return text[:1].upper() + text[1:]


class InvalidRuleset(Exception):
    """The current rules cannot be published; ``problems`` lists why."""

    def __init__(self, problems: Iterable[ValidationProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


SLUG = re.compile(r"[a-z0-9-]+")
SLUG_MESSAGE = "must consist of lowercase letters, digits and hyphens, such as “free-search”."
MAX_SLUG_LENGTH = 64
MAX_NAME_LENGTH = 200
MAX_REASON_LENGTH = 500
MAX_ROUTE_LENGTH = 500

NEEDS_CALENDAR_LIMIT = "needs a calendar limit: only a quota of a calendar period can be exceeded."
ONE_CONCURRENCY_LIMIT = "only one concurrency limit is allowed in a policy or an override."
NOT_OVERRIDABLE = "only a policy that counts each client separately can be overridden."

PRINTABLE = re.compile(r"\A[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*\Z")
NOT_PRINTABLE = "must not contain control characters."


def slug_problem(slug: str) -> str | None:
    """The reason why ``slug`` is not a valid slug, or None."""
    if len(slug) > MAX_SLUG_LENGTH:
        return f"must have at most {MAX_SLUG_LENGTH} characters."
    return None if SLUG.fullmatch(slug) else SLUG_MESSAGE


def route_problem(text: str) -> str | None:
    """The reason why ``text`` is not a valid route pattern, or None."""
    try:
        Route.parse(text)
    except PatternError as error:
        return str(error)
    return None


def cost_problem(cost: int) -> str | None:
    """The reason why ``cost`` is not valid as an endpoint's cost, or None."""
    return None if 1 <= cost <= MAX_COST else f"must be between 1 and {MAX_COST:,}."


MAX_TAGS = 32


def tags_problem(tags: Sequence[str]) -> str | None:
    """The reason why these are not valid as the tags of a client or segment, or None."""
    if len(tags) > MAX_TAGS:
        return f"must be at most {MAX_TAGS} tags."
    if message := next((message for tag in tags if (message := slug_problem(tag))), None):
        return f"each tag {message}"
    return "must not contain a tag twice." if len(set(tags)) < len(tags) else None


def segment_problems(segment: Segment) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for every problem of one segment; the field is empty for the segment as a whole."""
    if [bool(segment.prefix), bool(segment.tags), segment.plan is not None].count(True) != 1:
        yield "", "needs exactly one of prefix, tags and plan."
    if segment.prefix and (message := key_problem(segment.prefix)):
        yield "prefix", message
    if message := tags_problem(segment.tags):
        yield "tags", message


def block_problems(block: Block) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for every problem of one block; the field is empty for the block as a whole."""
    if list(map(bool, block.subject)).count(True) != 1:
        yield "", "needs exactly one of client, prefix and network."
    for field, key in (("client", block.client), ("prefix", block.prefix)):
        if key and (message := key_problem(key)):
            yield field, message
    if block.network and (message := network_problem(block.network)):
        yield "network", message
    if message := reason_problem(block.reason):
        yield "reason", message


def network_problem(text: str) -> str | None:
    """The reason why ``text`` is not a network in canonical form, or None."""
    try:
        network = str(parse_network(text))
    except ValueError as error:
        return str(error)
    return None if network == text else f"must be written as {network}."


def reason_problem(reason: str) -> str | None:
    """The reason why ``reason`` is not valid where one is required, or None."""
    if not reason.strip():
        return "must not be empty."
    if len(reason) > MAX_REASON_LENGTH:
        return f"must have at most {MAX_REASON_LENGTH} characters."
    return None if PRINTABLE.match(reason) else NOT_PRINTABLE


def conditions_problems(conditions: Any) -> Iterator[tuple[str, str]]:
    """Yields (name, message) for each problem of conditions as the config file has them."""
    if not isinstance(conditions, dict):
        yield "", "must be a mapping of attributes to lists of patterns."
        return
    wrong = [name for name, patterns in conditions.items() if not _is_list_of_texts(patterns)]
    yield from ((name, "must be a list of texts.") for name in wrong)
    if not wrong:
        match = match_of(conditions)
        yield from match_problems(match)
        if message := tags_problem(match.client_tags):
            yield CLIENT_TAGS, message


def _is_list_of_texts(patterns: Any) -> bool:
    return isinstance(patterns, list) and all(isinstance(pattern, str) for pattern in patterns)


def partition_problem(attributes: Sequence[str]) -> str | None:
    """The reason why a policy cannot count these attributes separately, or None."""
    if len(attributes) > MAX_ATTRIBUTES:
        return f"must name at most {MAX_ATTRIBUTES} attributes."
    if message := next((f"“{name}” {message}" for name in attributes if (message := name_problem(name))), None):
        return message
    return "must not name an attribute twice." if len(set(attributes)) < len(attributes) else None


def dates_problem(starts_at: int | None, ends_at: int | None) -> str | None:
    """The reason why ``ends_at`` is not valid after ``starts_at`` (microseconds since 1970), or None."""
    is_reversed = starts_at is not None and ends_at is not None and ends_at <= starts_at
    return "must be after the start." if is_reversed else None


def limits_problems(limits: Sequence[Limit]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields (location below the policy or override, message) for every problem of its limits."""
    if not limits:
        yield ("limits",), "must have at least one limit."
    labels: set[str] = set()
    for at, limit in enumerate(limits):
        wrong = [(("limits", at, field), message) for field, message in limit_problems(limit)]
        yield from wrong
        is_known = limit.label in labels
        labels.add(limit.label)
        if is_known and not wrong:
            yield _same_name(at, limit)


def _same_name(at: int, limit: Limit) -> tuple[tuple[str | int, ...], str]:
    if limit.algorithm is Algorithm.CONCURRENCY:
        return ("limits", at, "algorithm"), ONE_CONCURRENCY_LIMIT
    return ("limits", at), f"another limit is already named “{limit.label}”: use one limit per algorithm and window."


def ruleset_problems(ruleset: Ruleset) -> Iterator[ValidationProblem]:
    """Yields every problem of a ruleset."""
    yield from _slug_problems(ruleset)
    yield from _plan_problems(ruleset)
    for endpoint in ruleset.endpoints:
        yield from _endpoint_problems(endpoint)
    yield from _route_conflicts(ruleset.endpoints)
    endpoints = frozenset(endpoint.slug for endpoint in ruleset.endpoints)
    for policy in ruleset.policies:
        yield from _policy_problems(policy, ruleset.plan_slugs, endpoints)
    partitions = {policy.slug: policy.partition for policy in ruleset.policies}
    for at, override in enumerate(ruleset.segment_overrides):
        for field, message in _segment_override_problems(override, ruleset.plan_slugs, partitions):
            yield ValidationProblem(("segment_overrides", at, *field), message)
    for at, block in enumerate(ruleset.blocks):
        for name, message in block_problems(block):
            yield ValidationProblem(("blocks", at, *([name] if name else [])), message)


def overlaps(first: Override, second: Override) -> bool:
    """Whether two overrides of the same client and policy are in force at the same time."""

    def begins_before_end(one: Override, other: Override) -> bool:
        return one.starts_at is None or other.ends_at is None or one.starts_at < other.ends_at

    same = first.policy == second.policy
    return same and begins_before_end(first, second) and begins_before_end(second, first)


def overlapping(overrides: Sequence[Override]) -> Iterator[tuple[int, int]]:
    """Yields (position, earlier position) of overrides of one client and policy that overlap in time:
    each with the one that ends last among those that start before it."""
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


def _slug_problems(ruleset: Ruleset) -> Iterator[ValidationProblem]:
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("plans", (plan.slug for plan in ruleset.plans)),
        ("endpoints", (endpoint.slug for endpoint in ruleset.endpoints)),
        ("policies", (policy.slug for policy in ruleset.policies)),
    )
    for section, slugs in sections:
        for slug, count in Counter(slugs).items():
            if message := slug_problem(slug):
                yield ValidationProblem((section, slug, "slug"), message)
            if count > 1:
                yield ValidationProblem((section, slug, "slug"), "is a duplicate.")


def _plan_problems(ruleset: Ruleset) -> Iterator[ValidationProblem]:
    slugs = {plan.slug for plan in ruleset.plans}
    if slugs and ruleset.default_plan is None:
        yield ValidationProblem(("plans",), "one plan must be the default.")
    elif ruleset.default_plan is not None and ruleset.default_plan not in slugs:
        yield ValidationProblem(("plans",), f"the default plan “{ruleset.default_plan}” does not exist.")


def _endpoint_problems(endpoint: Endpoint) -> Iterator[ValidationProblem]:
    if message := cost_problem(endpoint.cost):
        yield ValidationProblem(("endpoints", endpoint.slug, "cost"), message)


def _route_conflicts(endpoints: Sequence[Endpoint]) -> Iterator[ValidationProblem]:
    owners: dict[str, tuple[str, int, Route]] = {}
    for endpoint in endpoints:
        for at, route in enumerate(endpoint.routes):
            owner, position, other = owners.setdefault(route.shape, (endpoint.slug, at, route))
            if (owner, position) != (endpoint.slug, at):
                where = "this endpoint" if owner == endpoint.slug else f"endpoint “{owner}” (“{other}”)"
                yield ValidationProblem(
                    ("endpoints", endpoint.slug, "routes", at), f"“{route}” already belongs to {where}."
                )


def _segment_override_problems(
    override: SegmentOverride, plans: frozenset[str], partitions: Mapping[str, Partition]
) -> Iterator[tuple[Location, str]]:
    yield from (((field,) if field else (), message) for field, message in segment_problems(override.segment))
    if override.segment.plan is not None and override.segment.plan not in plans:
        yield ("plan",), f"there is no plan “{override.segment.plan}”."
    if override.policy not in partitions:
        yield ("policy",), f"there is no policy “{override.policy}”."
    elif partitions[override.policy] is not Partition.CLIENT:
        yield ("policy",), NOT_OVERRIDABLE
    if message := dates_problem(override.starts_at, override.ends_at):
        yield ("ends_at",), message
    yield from limits_problems(override.limits)


def _policy_problems(policy: Policy, plans: frozenset[str], endpoints: frozenset[str]) -> Iterator[ValidationProblem]:
    here: Location = ("policies", policy.slug)
    if policy.plan is not None and policy.plan not in plans:
        yield ValidationProblem((*here, "plan"), f"there is no plan “{policy.plan}”.")
    if policy.endpoint is not None and policy.endpoint not in endpoints:
        yield ValidationProblem((*here, "endpoint"), f"there is no endpoint “{policy.endpoint}”.")
    if message := partition_problem(policy.attributes):
        yield ValidationProblem((*here, "partition"), message)
    for name, message in conditions_problems(conditions_of(policy.match)):
        yield ValidationProblem((*here, "match", *([name] if name else [])), message)
    if message := dates_problem(policy.starts_at, policy.ends_at):
        yield ValidationProblem((*here, "ends_at"), message)
    if policy.over_quota is OverQuota.COUNT and longest_calendar_limit(policy.limits) is None:
        yield ValidationProblem((*here, "over_quota"), NEEDS_CALENDAR_LIMIT)
    for place, message in limits_problems(policy.limits):
        yield ValidationProblem((*here, *place), message)
