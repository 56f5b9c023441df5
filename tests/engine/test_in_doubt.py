"""A lost reply: the process counts the request only if the lost call cannot have counted it."""

from dataclasses import dataclass
from typing import Any

import pytest

from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AnswerLost
from tests.engine.rules import simple
from tests.support.servers import Store

SEARCH = CheckRequest("ann", "search")


@dataclass
class Lossy:
    """Connections whose replies are lost after the store has run the command."""

    connections: StoreConnections

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
    """The number of requests in the usage buffer of this process."""
    with engine._usage_buffer._lock:
        buffered = engine._usage_buffer._buffered.values()
        return sum(amount for counts in buffered for (_, policy, _), amount in counts.items() if not policy)


def test_a_lost_reply_while_reading_the_rules_is_counted_by_the_process(store: Store, engine: Engine) -> None:
    store.publish(simple(8))
    reader = engine._rulesets._reader
    reader._connections = Lossy(reader._connections)  # type: ignore[assignment]
    assert engine.check(SEARCH).degraded
    assert counted_here(engine) == 1


def test_a_lost_reply_of_the_decision_is_counted_by_the_store_only(engine: Engine) -> None:
    engine._decider._connections = Lossy(engine._decider._connections)  # type: ignore[assignment]
    assert engine.check(SEARCH).degraded
    assert {answer.degraded for answer in engine.check_in_order([SEARCH] * 3)} == {True}
    assert counted_here(engine) == 0
