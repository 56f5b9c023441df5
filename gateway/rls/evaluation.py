"""Decides requests of several descriptors, and those that are no plain checks; runs in a thread of the pool."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.rls.descriptors import Item, Operation
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, is_in_range
from ratelimit_enforcer.engine import Engine, Guard, StoreError
from ratelimit_enforcer.log_limiter import RateLimitedLog

LEAST_DEADLINE = 0.001
"""Seconds; also after the caller's deadline: what is not answered in time may still have to be counted."""

Results = list[Decision | None]

_failed = RateLimitedLog(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One request, to be decided by ``engine``. ``ends``: when the caller needs the answer
    (``time.monotonic()``); None: each call of the engine has the engine's own deadline."""

    engine: Engine
    items: Sequence[Item]
    guard: Guard
    ends: float | None

    def __call__(self) -> Results:
        """One result for each item, in order: None for one that nothing limits, and for charges and refunds.

        Raises any exception of ``guard``, ``RulesetMissing``, and
        :class:`~ratelimit_enforcer.store.errors.StoreError` if the request has no checks and the store fails.
        """
        results: Results = [None] * len(self.items)
        alone = [at for at, item in self._of(Operation.CHECK, Operation.PEEK) if not _joins(item)]
        for at in alone:
            results[at] = self._alone(self.items[at])
        denied = any(decision is not None and not decision.allowed for decision in results)
        together = [at for at, item in self._of(Operation.CHECK, Operation.PEEK) if _joins(item)]
        for at, decision in zip(together, self._together(together, consume=not denied), strict=True):
            results[at] = decision
        self._adjust(answered=bool(alone or together))
        return results

    @property
    def deadline(self) -> float | None:
        """The seconds that are left, at least :data:`LEAST_DEADLINE`; None: the engine's own deadline."""
        return None if self.ends is None else max(self.ends - time.monotonic(), LEAST_DEADLINE)

    def _of(self, *operations: Operation) -> Iterator[tuple[int, Item]]:
        return (
            (at, item) for at, item in enumerate(self.items) if item.operation in operations and item.check is not None
        )

    def _alone(self, item: Item) -> Decision:
        assert item.check is not None
        if item.cost is None or is_in_range(item.cost):
            return self.engine.check(item.check, consume=False, guard=self.guard, deadline=self.deadline)
        return self.engine.check_cost_out_of_range(item.check, item.cost, deadline=self.deadline)

    def _together(self, positions: Sequence[int], *, consume: bool) -> list[Decision]:
        items = [self.items[at] for at in positions]
        if not items:
            return []
        consume = consume and any(item.operation is Operation.CHECK for item in items)
        requests = [_joint(item) for item in items]
        return self.engine.check_together(requests, consume=consume, guard=self.guard, deadline=self.deadline)

    def _adjust(self, *, answered: bool) -> None:
        """Charges and refunds. ``answered``: the request has an answer already, so a failure is only logged."""
        for _, item in self._of(Operation.CHARGE, Operation.REFUND):
            try:
                self._adjust_one(item)
            except StoreError as error:
                if not answered:
                    raise
                _failed.warning("A %s over gRPC was lost: %s", item.operation.value, error)

    def _adjust_one(self, item: Item) -> None:
        assert item.check is not None
        change = self.engine.charge if item.operation is Operation.CHARGE else self.engine.refund_newest
        change(item.check, item.cost or 1, guard=self.guard, deadline=self.deadline)


def _joins(item: Item) -> bool:
    """Whether the item is decided together with others: checks, and peeks at a cost of 1."""
    if item.operation is Operation.PEEK:
        return item.cost == 1
    return item.cost is None or is_in_range(item.cost)


def _joint(item: Item) -> CheckRequest:
    assert item.check is not None
    return item.check._replace(cost=0) if item.operation is Operation.PEEK else item.check
