"""Random rules and requests, for tests that run the same history in two implementations."""

import os
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition, Period
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from tests.support.deciding import policy, sliding, token_bucket

FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""The number of examples with ``make fuzz``, which are new ones in each run; 0 in normal tests."""

SHARE = 4
"""Normal tests run this fraction (1/4) of their stated number of examples."""

COSTS = st.one_of(st.just(1), st.integers(1, 12), st.integers(1, 10**6))
QUOTAS = st.one_of(st.integers(0, 12), st.integers(13, 300), st.just(10**9))
WINDOWS = st.sampled_from([1, 2, 7, 60, 3_600, 31_622_400])
ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
PHASES = [phase for phase in Phase if phase is not Phase.shrink] if "NO_SHRINKING" in os.environ else list(Phase)
"""``make mutants`` only needs to know whether a test fails, so it skips the search for the smallest example."""

WAITS = st.one_of(st.just(0), st.integers(-100_000, 2_000_000), st.integers(0, 90_000_000), st.integers(0, 10**13))


def history_settings(examples: int, **options: Any) -> settings:
    """Settings for hypothesis: the same examples in every run, except with ``make fuzz``."""
    return settings(
        **options,
        max_examples=FUZZ_EXAMPLES or max(20, examples // SHARE),
        derandomize=not FUZZ_EXAMPLES,
        deadline=None,
        database=None,
        phases=PHASES,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    quota, window = draw(QUOTAS), draw(WINDOWS)
    match draw(st.sampled_from([algorithm for algorithm in Algorithm if algorithm is not Algorithm.CONCURRENCY])):
        case Algorithm.SLIDING_WINDOW:
            return sliding(quota, window)
        case Algorithm.FIXED_WINDOW:
            return Limit(quota, window, Algorithm.FIXED_WINDOW)
        case Algorithm.CALENDAR:
            return Limit(quota, None, Algorithm.CALENDAR, period=draw(st.sampled_from(Period)), timezone=draw(ZONES))
    burst = draw(st.one_of(st.none(), st.integers(1, 40)))
    if burst is not None and burst * window > 31_622_400 * max(1, quota):
        burst = None
    return token_bucket(quota, window, burst)


def limit_lists() -> st.SearchStrategy[list[Limit]]:
    return st.lists(limits(), min_size=1, max_size=3, unique_by=lambda limit: limit.label)


@st.composite
def policies(draw: st.DrawFn, *, partitions: tuple[Partition, ...] = tuple(Partition)) -> list[EffectivePolicy]:
    mode = st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW])
    partition = st.sampled_from(partitions)
    drawn = draw(st.lists(limit_lists(), max_size=3))
    return [
        policy(f"policy-{at}", *chosen, mode=draw(mode), partition=draw(partition)) for at, chosen in enumerate(drawn)
    ]


@st.composite
def editions(draw: st.DrawFn) -> list[list[EffectivePolicy]]:
    """Three sets of rules: either unrelated, or the same rules with different quotas and bursts."""
    first = draw(policies())
    if draw(st.booleans()):
        return [first, draw(policies()), draw(policies())]
    return [first, *([_edited(draw, each) for each in first] for _ in range(2))]


def _edited(draw: st.DrawFn, before: EffectivePolicy) -> EffectivePolicy:
    small = st.integers(1, 12)
    limits_ = tuple(
        replace(limit, quota=draw(small), burst=draw(small) if limit.burst and limit.window == 1 else limit.burst and 1)
        for limit in before.limits
    )
    return replace(before, policy=replace(before.policy, limits=limits_), limits=limits_)


@dataclass(frozen=True)
class Step:
    """A check ``wait`` microseconds after the previous one; ``rules``: the index of the rules in force."""

    wait: int
    client: str
    cost: int
    consume: bool
    rules: int


STEPS = st.builds(
    Step,
    wait=WAITS,
    client=st.sampled_from(["ann", "ann", "bob"]),
    cost=COSTS,
    consume=st.sampled_from([True, True, True, False]),
    rules=st.integers(0, 2),
)
