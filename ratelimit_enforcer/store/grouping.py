"""Requests that are decided together: which of them consumes from a counter that several reach."""

from collections.abc import Sequence
from typing import NamedTuple

from ratelimit_enforcer.domain.readings import Reading, readings_by_policy
from ratelimit_enforcer.store.answers import Consumed, Decided
from ratelimit_enforcer.store.requests import Part, StoreRequest
from ratelimit_enforcer.store.scripts.packing import PackedRules, unpacked


class GroupPart(NamedTuple):
    """The policies of the request with this number that consume in one call on a Cluster."""

    number: int
    part: Part


class Group(NamedTuple):
    """Requests that are decided together, and the keys of the counters of each, in the order of its policies."""

    requests: Sequence[StoreRequest]
    counters: Sequence[Sequence[str]]

    @property
    def rules(self) -> list[PackedRules]:
        """The rules of each request."""
        return [unpacked(request.rules) for request in self.requests]

    def consumers(self) -> dict[str, int]:
        """For each counter the number of the request that consumes from it: the first of those with the largest cost.
        Counters that are only read have none."""
        found: dict[str, int] = {}
        for number, (request, keys) in enumerate(zip(self.requests, self.counters, strict=True)):
            for key in keys if request.cost else ():
                if key not in found or request.cost > self.requests[found[key]].cost:
                    found[key] = number
        return found

    def admits(self, answers: Sequence[Decided]) -> bool:
        """Whether all requests are admitted."""
        blocked = any(rules.is_blocked for rules in self.rules)
        return not blocked and all(answer.admitted for answer in answers)

    def consumed(self, answers: Sequence[Decided]) -> list[Decided]:
        """The answers of an admitted group, with what it consumed from each counter: a policy in shadow mode that does
        not admit the largest cost consumes none."""
        consumers = self.consumers()
        all_admit = all(reading[0] for answer in answers for reading in answer.readings)
        rows = [] if all_admit else self.rows(answers)

        def from_counter(key: str, number: int) -> Consumed:
            consumer = consumers.get(key)
            if consumer is None:
                return Consumed(0, is_own=False)
            admits = all_admit or all(reading[0] for reading in rows[consumer][self.counters[consumer].index(key)])
            return Consumed(self.requests[consumer].cost if admits else 0, is_own=admits and consumer == number)

        return [
            answer._replace(consumed=tuple(from_counter(key, number) for key in keys))
            for number, (answer, keys) in enumerate(zip(answers, self.counters, strict=True))
        ]

    def rows(self, answers: Sequence[Decided]) -> list[list[Sequence[Reading]]]:
        """The readings of each request by policy."""
        sizes = [rules.sizes for rules in self.rules]
        return [readings_by_policy(answer.readings, size) for answer, size in zip(answers, sizes, strict=True)]

    def parts(self) -> list[GroupPart]:
        """What each request consumes, by slot. The first is in the shard of the first request, even if that consumes
        nothing there."""
        consumers = self.consumers()
        own: list[GroupPart] = []
        shared: list[GroupPart] = []
        for number, (request, keys) in enumerate(zip(self.requests, self.counters, strict=True)):
            consuming = [at for at, key in enumerate(keys) if consumers.get(key) == number]
            in_shard = [at for at in consuming if not request.policies[at].shared]
            if in_shard or number == 0:
                own.append(self._part(number, in_shard))
            shared += [self._part(number, [at]) for at in consuming if request.policies[at].shared]
        return own + shared

    def _part(self, number: int, positions: Sequence[int]) -> GroupPart:
        request, rules = self.requests[number], unpacked(self.requests[number].rules)
        counters = tuple(request.policies[at] for at in positions)
        sizes = tuple(rules.sizes[at] for at in positions)
        return GroupPart(number, Part(counters, rules.only(positions), tuple(positions), sizes))
