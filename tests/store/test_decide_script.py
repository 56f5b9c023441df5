"""The decision script does what the model does, on the same histories."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limits.domain.counters import Counters
from limits.domain.limit import Limit
from limits.domain.selection import EffectivePolicy
from limits.domain.words import Mode
from limits.store.buckets import bucket_of
from tests.support.deciding import START, Desk, bucket, policy, readings, sliding

COSTS = st.one_of(st.just(1), st.integers(1, 12), st.integers(1, 10**6))
QUOTAS = st.one_of(st.integers(0, 12), st.integers(13, 300), st.just(10**9))
WINDOWS = st.sampled_from([1, 2, 7, 60, 3_600, 31_622_400])


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    quota, window = draw(QUOTAS), draw(WINDOWS)
    if draw(st.booleans()):
        return sliding(quota, window)
    burst = draw(st.one_of(st.none(), st.integers(1, 40)))
    if burst is not None and burst * window > 31_622_400 * max(1, quota):
        burst = None
    return bucket(quota, window, burst)


@st.composite
def policies(draw: st.DrawFn) -> list[EffectivePolicy]:
    drawn = draw(st.lists(st.lists(limits(), min_size=1, max_size=3, unique_by=lambda limit: limit.label), max_size=3))
    mode = st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW])
    return [policy(f"policy-{at}", *chosen, mode=draw(mode)) for at, chosen in enumerate(drawn)]


@dataclass(frozen=True)
class Step:
    """A check, some time after the one before; ``rules`` picks which rules are in force by then."""

    wait: int
    cost: int
    consume: bool
    rules: int


WAITS = st.one_of(st.just(0), st.integers(-100_000, 2_000_000), st.integers(0, 90_000_000), st.integers(0, 10**13))
STEPS = st.builds(
    Step, wait=WAITS, cost=COSTS, consume=st.sampled_from([True, True, True, False]), rules=st.integers(0, 2)
)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rules=st.lists(policies(), min_size=3, max_size=3), steps=st.lists(STEPS, max_size=60), number=st.integers())
def test_script_and_model_decide_alike_while_rules_change(
    desk: Desk, rules: list[list[EffectivePolicy]], steps: list[Step], number: int
) -> None:
    desk.redis.delete(*(desk.redis.keys("*:n:*") or ["none"]))
    model, now, client = Counters(), START, f"client {number}"
    for step in steps:
        now = max(START, now + step.wait)
        desk.at(now)
        answer = desk.ask(client, rules[step.rules], step.cost, consume=step.consume)
        admitted, expected = model.check(rules[step.rules], step.cost, now, consume=step.consume)
        assert answer.admitted == admitted
        assert readings(answer) == [tuple(reading) for row in expected for reading in row]


def test_a_busy_window_is_bounded_and_never_more_than_a_64th_late(desk: Desk) -> None:
    limit, model, now = sliding(10**6, 64), Counters(), START
    rules = [policy("busy", limit)]
    for _ in range(1_500):
        now += 50_021
        desk.at(now)
        answer = desk.ask("acme", rules, 3)
        _, expected = model.check(rules, 3, now)
        assert readings(answer) == [tuple(reading) for row in expected for reading in row]
    size = desk.redis.strlen(desk.keys.counter(bucket_of("acme"), "busy", "acme"))
    assert size <= 7 + 4 + 130 * 12
    exact = 3 * sum(1 for at in range(1_500) if now - at * 50_021 > now - 64_000_000)
    used = readings(answer)[0][1][0]
    assert exact <= used <= exact + 3 * (1_000_000 // 50_021 + 1)
