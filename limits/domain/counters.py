"""The reference model of one check: every limit of every policy, all or nothing.

``store/lua/decide.lua`` does the same on packed bytes in one script call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from limits.domain import sliding_window, token_bucket
from limits.domain.limit import Limit
from limits.domain.selection import EffectivePolicy
from limits.domain.sliding_window import Window
from limits.domain.token_bucket import Bucket
from limits.domain.words import Algorithm, Mode

State = Window | Bucket
Counter = Mapping[tuple[Algorithm, int], State]
"""The state of one policy for one client. A limit finds its own by algorithm and window, so that
it never reads what another kind of limit wrote."""


class Reading(NamedTuple):
    """One limit after a check: whether it admitted, and four figures whose meaning depends on
    the algorithm (``figures`` of :mod:`sliding_window` and :mod:`token_bucket`)."""

    admits: bool
    figures: tuple[int, int, int, int]


@dataclass
class Counters:
    """The counters of one client: policy slug → state."""

    by_policy: dict[str, Counter] = field(default_factory=dict)

    def check(
        self, policies: Sequence[EffectivePolicy], cost: int, now: int, *, consume: bool = True
    ) -> tuple[bool, list[list[Reading]]]:
        """Decides one request. Returns (admitted, the readings of each policy's limits)."""
        states = [[self._state(policy, limit, now) for limit in policy.limits] for policy in policies]
        answers = [
            [_admits(state, limit, cost) for state, limit in zip(row, policy.limits, strict=True)]
            for row, policy in zip(states, policies, strict=True)
        ]
        admitted = all(all(row) for row, p in zip(answers, policies, strict=True) if p.mode is Mode.ENFORCE)
        for row, policy, answer in zip(states, policies, answers, strict=True):
            if consume and admitted and all(answer):
                row[:] = [_consume(state, limit, cost) for state, limit in zip(row, policy.limits, strict=True)]
                self._keep(policy, row)
        return admitted, [
            [
                Reading(admits, _figures(state, limit, cost, admits))
                for admits, state, limit in zip(answer, row, policy.limits, strict=True)
            ]
            for row, policy, answer in zip(states, policies, answers, strict=True)
        ]

    def _state(self, policy: EffectivePolicy, limit: Limit, now: int) -> State:
        kept = self.by_policy.get(policy.policy.slug, {}).get(_section(limit))
        if limit.algorithm is Algorithm.SLIDING_WINDOW:
            return sliding_window.advance(kept if isinstance(kept, Window) else Window(), limit, now)
        return token_bucket.advance(kept if isinstance(kept, Bucket) else Bucket(), limit, now)

    def _keep(self, policy: EffectivePolicy, states: Sequence[State]) -> None:
        sections = zip(map(_section, policy.limits), states, strict=True)
        self.by_policy[policy.policy.slug] = dict(sections)


def _section(limit: Limit) -> tuple[Algorithm, int]:
    return limit.algorithm, limit.window_us


def _admits(state: State, limit: Limit, cost: int) -> bool:
    if isinstance(state, Window):
        return sliding_window.admits(state, limit, cost)
    return token_bucket.admits(state, limit, cost)


def _consume(state: State, limit: Limit, cost: int) -> State:
    if isinstance(state, Window):
        return sliding_window.consume(state, limit, cost)
    return token_bucket.consume(state, limit, cost)


def _figures(state: State, limit: Limit, cost: int, admits: bool) -> tuple[int, int, int, int]:
    if isinstance(state, Window):
        return sliding_window.figures(state, limit, cost, admits)
    return token_bucket.figures(state)
