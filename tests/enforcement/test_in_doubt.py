"""A lost answer: whether the request is counted here depends on whether the lost call may have counted it."""

from dataclasses import dataclass
from typing import Any

import pytest

from limits.enforcement import CheckRequest, Engine
from limits.store.deadline import Deadline
from limits.store.errors import AnswerLost
from limits.store.hot import HotConnections
from tests.enforcement.rules import simple
from tests.support.servers import Store

SEARCH = CheckRequest("ann", "search")


@dataclass
class Lossy:
    """Connections whose answers are lost: the store has done what it was asked."""

    connections: HotConnections

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        self.connections.execute(*command, key=key, deadline=deadline)
        raise AnswerLost("lost")


@pytest.fixture
def engine(store: Store) -> Engine:
    store.publish(simple(9))
    store.load()
    engine = store.engine()
    assert engine.check(SEARCH).allowed
    return engine


def counted_here(engine: Engine) -> int:
    """Requests that this process is to bring to the store."""
    with engine._uncounted._lock:
        places = engine._uncounted._places.values()
        return sum(amount for counts in places for (_, policy), amount in counts.items() if not policy)


def test_a_lost_answer_of_reading_the_rules_is_counted(store: Store, engine: Engine) -> None:
    store.publish(simple(8))
    reader = engine._holder._reader
    reader._connections = Lossy(reader._connections)  # type: ignore[assignment]
    assert engine.check(SEARCH).degraded
    assert counted_here(engine) == 1


def test_a_lost_answer_of_the_decision_is_left_to_the_store(engine: Engine) -> None:
    engine._decider._connections = Lossy(engine._decider._connections)  # type: ignore[assignment]
    assert engine.check(SEARCH).degraded
    assert {answer.degraded for answer in engine.check_in_order([SEARCH] * 3)} == {True}
    assert counted_here(engine) == 0
