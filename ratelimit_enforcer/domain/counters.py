"""The reference model of one check: every limit of every policy must admit a request, or nothing is consumed.

``store/scripts/decide.lua`` does the same on packed bytes in one script call.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from ratelimit_enforcer.domain import fixed_window, sliding_window, token_bucket
from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES, counted_values
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.fixed_window import FixedWindow
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.domain.sliding_window import SlidingWindow
from ratelimit_enforcer.domain.token_bucket import TokenBucket

State = SlidingWindow | TokenBucket | FixedWindow
Counter = Mapping[tuple[Algorithm, int], State]
"""The state of one policy, for one client or for all clients together. States are keyed by algorithm
and window (or period and zone), so that a limit never reads the state of another kind of limit."""


Reading = tuple[bool, int, int, int, int]
"""One limit as a check found it: whether the limit admits the request, and four figures of the state
before the request. Their meaning depends on the algorithm (``figures`` of :mod:`sliding_window`,
:mod:`token_bucket` and :mod:`fixed_window`)."""


def readings_by_policy(readings: Sequence[Reading], limits: Sequence[int]) -> list[Sequence[Reading]]:
    """The readings of each policy, given how many ``limits`` each policy has. Raises ``ValueError`` unless there
    is one reading for each limit."""
    require_reading_for_each_limit(readings, sum(limits))
    ends = list(accumulate(limits, initial=0))
    return [readings[begin:end] for begin, end in pairwise(ends)]


def require_reading_for_each_limit(readings: Sequence[Reading], limits: int) -> None:
    """Raises ``ValueError`` if the number of readings is not the number of limits: then the rules that the
    script read are not those that the caller packed, and no reading can be assigned to a limit."""
    if len(readings) != limits:
        raise ValueError(f"The script returned {len(readings)} readings for {limits} limits.")


CounterKey = tuple[str, str | None, tuple[str, ...]]
"""Identifies a counter: the slug of the policy, the client (None: all clients together), and the values of the
attributes that the policy counts separately."""


@dataclass
class Counters:
    """The counters of all clients, in memory: the slug of a policy and the client → the states of its limits.
    Not thread-safe."""

    counters: MutableMapping[CounterKey, Counter] = field(default_factory=dict)

    def check(
        self,
        policies: Sequence[EffectivePolicy],
        cost: int,
        now: int,
        *,
        client: str = "",
        ancestors: Sequence[str] = (),
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        consume: bool = True,
    ) -> tuple[bool, list[list[Reading]]]:
        """Decides one request of ``cost`` at ``now`` (microseconds since 1970). ``ancestors``: those of the client,
        from the parent up. If ``consume``, an admitted request consumes its cost. Returns (admitted, the readings
        of each policy's limits)."""
        subjects = (client, *ancestors)
        keys = [_key(policy, subjects[policy.level], attributes) for policy in policies]
        states = [
            [self._state(key, limit, now) for limit in policy.limits]
            for key, policy in zip(keys, policies, strict=True)
        ]
        answers = [
            [_admits(state, limit, cost) for state, limit in zip(row, policy.limits, strict=True)]
            for row, policy in zip(states, policies, strict=True)
        ]
        admitted = all(all(row) for row, p in zip(answers, policies, strict=True) if p.mode is Mode.ENFORCE)
        for key, row, policy, answer in zip(keys, states, policies, answers, strict=True):
            if consume and admitted and all(answer):
                consumed = [_consume(state, limit, cost) for state, limit in zip(row, policy.limits, strict=True)]
                self.counters[key] = dict(zip(map(_state_key, policy.limits), consumed, strict=True))
        return admitted, [
            [
                (admits, *_figures(state, limit, cost, admits))
                for admits, state, limit in zip(answer, row, policy.limits, strict=True)
            ]
            for row, policy, answer in zip(states, policies, answers, strict=True)
        ]

    def _state(self, key: CounterKey, limit: Limit, now: int) -> State:
        counter = self.counters.get(key, {})
        state = counter.get(_state_key(limit))
        if state is not None and (corrected := _corrected(state, limit, now)) is not state:
            # Even if the request is denied: so a wrong clock blocks no client for longer than a window.
            self.counters[key] = {**counter, _state_key(limit): corrected}
            state = corrected
        if limit.algorithm is Algorithm.SLIDING_WINDOW:
            return sliding_window.advance(state if isinstance(state, SlidingWindow) else SlidingWindow(), limit, now)
        if limit.algorithm is Algorithm.TOKEN_BUCKET:
            return token_bucket.advance(state if isinstance(state, TokenBucket) else TokenBucket(), limit, now)
        return fixed_window.advance(state if isinstance(state, FixedWindow) else FixedWindow(), limit, now)


def _key(policy: EffectivePolicy, counted: str, attributes: Mapping[str, str]) -> CounterKey:
    subject = counted if policy.policy.partition is Partition.CLIENT else None
    return policy.policy.slug, subject, counted_values(policy.policy.attributes, attributes)


def _state_key(limit: Limit) -> tuple[Algorithm, int]:
    return limit.algorithm, limit.window_code


def _corrected(state: State, limit: Limit, now: int) -> State:
    match state:
        case SlidingWindow():
            return sliding_window.corrected(state, limit, now)
        case TokenBucket():
            return token_bucket.corrected(state, limit, now)
        case FixedWindow():
            return fixed_window.corrected(state, limit, now)


def _admits(state: State, limit: Limit, cost: int) -> bool:
    match state:
        case SlidingWindow():
            return sliding_window.admits(state, limit, cost)
        case TokenBucket():
            return token_bucket.admits(state, limit, cost)
        case FixedWindow():
            return fixed_window.admits(state, limit, cost)


def _consume(state: State, limit: Limit, cost: int) -> State:
    match state:
        case SlidingWindow():
            return sliding_window.consume(state, limit, cost)
        case TokenBucket():
            return token_bucket.consume(state, limit, cost)
        case FixedWindow():
            return fixed_window.consume(state, limit, cost)


def _figures(state: State, limit: Limit, cost: int, admits: bool) -> tuple[int, int, int, int]:
    match state:
        case SlidingWindow():
            return sliding_window.figures(state, limit, cost, admits)
        case TokenBucket():
            return token_bucket.figures(state)
        case FixedWindow():
            return fixed_window.figures(state)
