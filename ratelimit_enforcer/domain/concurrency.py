"""Concurrency limits: each request takes a place until it is released, or until the limit's window has passed.

This is the reference for ``store/scripts/parts/concurrency.lua``; the same histories run through both.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.sliding_window import NEVER


@dataclass(frozen=True, slots=True)
class Places:
    """The places that are taken at ``now``: the id of each reservation, and when its place is free at the latest (all
    in microseconds since 1970)."""

    taken: Mapping[Hashable, int] = field(default_factory=dict)
    now: int = 0


def advance(places: Places, now: int) -> Places:
    """The places at ``now``, without those whose time has passed."""
    return Places({name: until for name, until in places.taken.items() if until > now}, now)


def admits(places: Places, limit: Limit) -> bool:
    """Whether a place is free; ``places`` must be at the present time (:func:`advance`)."""
    return len(places.taken) < limit.quota


def take(places: Places, limit: Limit, reservation: Hashable) -> Places:
    """The places after an admitted request."""
    return replace(places, taken={**places.taken, reservation: places.now + limit.window_us})


def release(places: Places, reservation: Hashable) -> Places:
    """The places without that of this reservation."""
    return replace(places, taken={name: until for name, until in places.taken.items() if name != reservation})


def figures(places: Places) -> tuple[int, int, int, int]:
    """(places taken, time until the first is free at the latest, time until the last is, 0). Times are in
    microseconds; ``NEVER`` and 0 if none is taken."""
    if not places.taken:
        return 0, NEVER, 0, 0
    times = [until - places.now for until in places.taken.values()]
    return len(times), min(times), max(times), 0
