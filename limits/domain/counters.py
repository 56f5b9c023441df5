"""The reference model of one check: every limit of every policy, all or nothing.

``store/lua/decide.lua`` does the same on packed bytes in one script call.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from limits.domain import fixed_window, sliding_window, token_bucket
from limits.domain.fixed_window import Span
from limits.domain.limit import Limit
from limits.domain.selection import EffectivePolicy
from limits.domain.sliding_window import Window
from limits.domain.token_bucket import Bucket
from limits.domain.words import Algorithm, Mode, Partition

State = Window | Bucket | Span
Counter = Mapping[tuple[Algorithm, int], State]
"""The state of one policy for one client, or for all of them. A limit finds its own by algorithm
and window (period and zone), so that it never reads what another kind of limit wrote."""


Reading = tuple[bool, int, int, int, int]
"""One limit as a check found it: whether it admits the request, and four figures of its state
before it, whose meaning depends on the algorithm (``figures`` of :mod:`sliding_window`,
:mod:`token_bucket` and :mod:`fixed_window`)."""

CounterKey = tuple[str, str | None]
"""Whose counter: the slug of the policy, and the client (None: all of them together)."""


@dataclass
class Counters:
    """The counters of all clients."""

    kept: MutableMapping[CounterKey, Counter] = field(default_factory=dict)

    def check(
        self, policies: Sequence[EffectivePolicy], cost: int, now: int, *, client: str = "", consume: bool = True
    ) -> tuple[bool, list[list[Reading]]]:
        """Decides one request. Returns (admitted, the readings of each policy's limits)."""
        states = [[self._state(policy, limit, client, now) for limit in policy.limits] for policy in policies]
        answers = [
            [_admits(state, limit, cost) for state, limit in zip(row, policy.limits, strict=True)]
            for row, policy in zip(states, policies, strict=True)
        ]
        admitted = all(all(row) for row, p in zip(answers, policies, strict=True) if p.mode is Mode.ENFORCE)
        for row, policy, answer in zip(states, policies, answers, strict=True):
            if consume and admitted and all(answer):
                taken = [_consume(state, limit, cost) for state, limit in zip(row, policy.limits, strict=True)]
                self._keep(policy, client, taken)
        return admitted, [
            [
                (admits, *_figures(state, limit, cost, admits))
                for admits, state, limit in zip(answer, row, policy.limits, strict=True)
            ]
            for row, policy, answer in zip(states, policies, answers, strict=True)
        ]

    def _state(self, policy: EffectivePolicy, limit: Limit, client: str, now: int) -> State:
        counter = self.kept.get(_key(policy, client), {})
        kept = counter.get(_section(limit))
        if kept is not None and (right := _corrected(kept, limit, now)) is not kept:
            # Whatever becomes of the request: so a wrong clock holds nobody back for longer than a window.
            self.kept[_key(policy, client)] = {**counter, _section(limit): right}
            kept = right
        if limit.algorithm is Algorithm.SLIDING_WINDOW:
            return sliding_window.advance(kept if isinstance(kept, Window) else Window(), limit, now)
        if limit.algorithm is Algorithm.TOKEN_BUCKET:
            return token_bucket.advance(kept if isinstance(kept, Bucket) else Bucket(), limit, now)
        return fixed_window.advance(kept if isinstance(kept, Span) else Span(), limit, now)

    def _keep(self, policy: EffectivePolicy, client: str, states: Sequence[State]) -> None:
        sections = zip(map(_section, policy.limits), states, strict=True)
        self.kept[_key(policy, client)] = dict(sections)


def _key(policy: EffectivePolicy, client: str) -> CounterKey:
    return policy.policy.slug, client if policy.policy.partition is Partition.CLIENT else None


def _section(limit: Limit) -> tuple[Algorithm, int]:
    return limit.algorithm, limit.span_code


def _corrected(state: State, limit: Limit, now: int) -> State:
    match state:
        case Window():
            return sliding_window.corrected(state, limit, now)
        case Bucket():
            return token_bucket.corrected(state, limit, now)
        case Span():
            return fixed_window.corrected(state, limit, now)


def _admits(state: State, limit: Limit, cost: int) -> bool:
    match state:
        case Window():
            return sliding_window.admits(state, limit, cost)
        case Bucket():
            return token_bucket.admits(state, limit, cost)
        case Span():
            return fixed_window.admits(state, limit, cost)


def _consume(state: State, limit: Limit, cost: int) -> State:
    match state:
        case Window():
            return sliding_window.consume(state, limit, cost)
        case Bucket():
            return token_bucket.consume(state, limit, cost)
        case Span():
            return fixed_window.consume(state, limit, cost)


def _figures(state: State, limit: Limit, cost: int, admits: bool) -> tuple[int, int, int, int]:
    match state:
        case Window():
            return sliding_window.figures(state, limit, cost, admits)
        case Bucket():
            return token_bucket.figures(state)
        case Span():
            return fixed_window.figures(state)
