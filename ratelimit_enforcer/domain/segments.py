"""Segments: groups of clients that an override applies to, without a record for each client.

A segment is compared with the client's record in the process, so that no client is written when an override
of a segment begins, changes or ends.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ratelimit_enforcer.domain.dates import is_between
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.per_process import cached_property


@dataclass(frozen=True, slots=True)
class Segment:
    """Some clients: those whose key begins with ``prefix``, those with all of ``tags``, or those on ``plan``.
    Exactly one of the three is given."""

    prefix: str = ""
    tags: tuple[str, ...] = ()
    plan: str | None = None

    @property
    def precedence(self) -> tuple[int, int]:
        """Larger for the more specific of two segments: the longest prefix, then the most tags, then the plan."""
        if self.prefix:
            return 2, len(self.prefix)
        return (1, len(self.tags)) if self.tags else (0, 0)

    def __str__(self) -> str:
        if self.prefix:
            return f"clients whose key begins with “{self.prefix}”"
        if self.tags:
            return f"clients with the tag{'s' if len(self.tags) > 1 else ''} {' and '.join(self.tags)}"
        return f"clients on plan {self.plan}"


@dataclass(frozen=True, slots=True)
class SegmentOverride:
    """Limits of a segment, which replace those of one policy from ``starts_at`` until ``ends_at`` (microseconds
    since 1970, the end excluded; None: open-ended), unless the client has an override of its own."""

    segment: Segment
    policy: str
    limits: tuple[Limit, ...]
    starts_at: int | None = None
    ends_at: int | None = None

    def is_active(self, now: int) -> bool:
        """Whether the override is in force at ``now`` (microseconds since 1970)."""
        return is_between(now, self.starts_at, self.ends_at)


class SegmentOverrides:
    """All overrides of segments, prepared for finding those of one client."""

    def __init__(self, overrides: Iterable[SegmentOverride]) -> None:
        # Where two are equally specific, the earlier one applies: sorting is stable.
        self._overrides = sorted(overrides, key=lambda each: each.segment.precedence, reverse=True)

    @cached_property
    def _positions(self) -> dict[tuple[str, str], list[int]]:
        """Positions by one property that the client must have: the prefix, the plan, or the first of the tags."""
        positions: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for at, override in enumerate(self._overrides):
            positions[_property_of(override.segment)].append(at)
        return dict(positions)

    @cached_property
    def _prefix_lengths(self) -> tuple[int, ...]:
        return tuple({len(override.segment.prefix) for override in self._overrides if override.segment.prefix})

    def positions(self, key: str, tags: Collection[str], plan: str | None) -> tuple[int, ...]:
        """The positions of the overrides whose segment includes this client, the most specific first."""
        if not self._overrides:
            return ()
        properties = _properties_of(key, tags, plan, self._prefix_lengths)
        found = [at for each in properties for at in self._positions.get(each, ())]
        return tuple(sorted(at for at in found if set(self._overrides[at].segment.tags) <= set(tags)))

    def of(self, key: str, tags: Collection[str], plan: str | None) -> list[SegmentOverride]:
        """The overrides whose segment includes this client, the most specific first."""
        return [self._overrides[at] for at in self.positions(key, tags, plan)]


def _property_of(segment: Segment) -> tuple[str, str]:
    if segment.prefix:
        return "prefix", segment.prefix
    return ("tag", segment.tags[0]) if segment.tags else ("plan", segment.plan or "")


def _properties_of(
    key: str, tags: Iterable[str], plan: str | None, prefix_lengths: Iterable[int]
) -> Iterator[tuple[str, str]]:
    yield from (("prefix", key[:length]) for length in prefix_lengths if length <= len(key))
    yield from (("tag", tag) for tag in tags)
    yield "plan", plan or ""
