"""Reservations on a Cluster in which a global policy is on another master than the client's counters."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from limits.store.overdue import UNFINISHED_AFTER_US, finish_all
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import Algorithm, OnStoreFailure, Partition, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import ReservationId, Reserve
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.store.reservations import OpenRecord, Reservations
from tests.engine.rules import policy
from tests.support.lasting_clusters import LastingCluster
from tests.support.split import SHARED, SplitWorld, masters, own, shared
from tests.support.waiting import wait_until

__all__ = ["masters"]

pytestmark = pytest.mark.xdist_group("reservations-in-parts")


@pytest.fixture
def world_of(masters: LastingCluster) -> Callable[..., SplitWorld]:
    def begin(*policies: Policy) -> SplitWorld:
        return SplitWorld(masters.ready(), *policies)

    return begin


def reserve(world: SplitWorld, engine: Engine, cost: int, **fields: object) -> Decision:
    return engine.check(CheckRequest(world.client, cost=cost, reserve=Reserve(**fields)))  # type: ignore[arg-type]


def reservations(world: SplitWorld, engine: Engine) -> Reservations:
    return Reservations(engine._decider._connections, world.store.keys, 128)


def test_a_refund_reaches_all_masters(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of()
    engine = world.engine(10)
    decision = reserve(world, engine, 600)
    assert (decision.allowed, decision.cost, decision.degraded) == (True, 600, False)
    assert world.used() == (600, 600)
    assert engine.settle(decision.reservation or "", 20)[1:] == (20, 580, 0)
    assert world.used() == (20, 20)
    counts = world.counted()
    assert [counts[kind, ""] for kind in "avntr"] == [1, 600, 1, 20, 580]
    assert engine.settle(decision.reservation or "", 20)[1:] == (20, 580, 0)
    assert world.used() == (20, 20)


def test_an_excess_is_debited_on_all_masters(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of(own(1_000), shared(700))
    engine = world.engine(10)
    decision = reserve(world, engine, 600)
    assert engine.settle(decision.reservation or "", 800).overdrawn == 100
    assert world.used()[0] == 800
    assert engine.settle(decision.reservation or "", 800).overdrawn == 100


def test_what_all_masters_have_available(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of(own(1_000), shared(700))
    engine = world.engine(10)
    assert reserve(world, engine, 4_000, at_least=100).cost == 700
    denied = reserve(world, engine, 4_000, at_least=100)
    assert (denied.allowed, denied.reason, denied.cost, denied.reservation) == (False, Reason.LIMIT, 100, None)
    wait_until(lambda: world.used() == (700, 700))


def test_a_charge_reaches_all_masters(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of()
    engine = world.engine(10)
    assert engine.charge(CheckRequest(world.client), 700)[3:5] == (700, 0)
    assert world.used() == (700, 700)
    assert engine.charge(CheckRequest(world.client), 500)[3:5] == (500, 200)
    assert world.used() == (1_000, 1_000)


def test_the_same_name_reserves_once(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of()
    engine = world.engine(10)
    first = reserve(world, engine, 600, name=b"n" * 16)
    again = reserve(world, engine, 600, name=b"n" * 16)
    assert (again.allowed, again.cost, again.reservation) == (True, 600, first.reservation)
    assert world.used() == (600, 600)


def test_a_place_on_another_master_is_freed(world_of: Callable[..., SplitWorld]) -> None:
    places = Limit(2, 60, Algorithm.CONCURRENCY)
    deny = OnStoreFailure.DENY
    world = world_of(own(), policy(SHARED, places, partition=Partition.GLOBAL, on_store_failure=deny))
    engine = world.engine(10)
    taken = [engine.check(CheckRequest(world.client)) for _ in range(2)]
    assert all(decision.allowed and decision.reservation for decision in taken)
    assert engine.check(CheckRequest(world.client)).retry_after == 1.0
    engine.release(taken[0].reservation or "")
    assert engine.check(CheckRequest(world.client)).allowed


def test_a_settlement_that_a_master_interrupts_is_finished_by_the_next_call(
    world_of: Callable[..., SplitWorld],
) -> None:
    world = world_of()
    engine = world.engine(0.3)
    decision = reserve(world, engine, 600)
    wait_until(lambda: world.pending(SHARED) == 0)
    world.theirs.pause()
    with pytest.raises(StoreUnavailable):
        engine.settle(decision.reservation or "", 20)
    world.theirs.resume()
    wait_until(lambda: engine.readiness().missing == ())
    assert world.engine(10).settle(decision.reservation or "", 20)[1:] == (20, 580, 0)
    assert world.used() == (20, 20)


def test_the_reconciler_finishes_a_settlement_of_a_lost_process(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of()
    engine = world.engine(10)
    decision = reserve(world, engine, 600)
    found, store = ReservationId.parse(decision.reservation or ""), reservations(world, engine)
    record = store.read(found, Deadline(10))
    assert isinstance(record, OpenRecord)
    now = time.time_ns() // 1_000
    store.settle(found, record, 20, now, Deadline(10))
    assert world.used() == (20, 600)
    assert finish_all(store, world.store.redis, world.store.keys, now, 1.0) == 0
    assert finish_all(store, world.store.redis, world.store.keys, now + 2 * UNFINISHED_AFTER_US, 1.0) == 1
    assert world.used() == (20, 20)
    assert finish_all(store, world.store.redis, world.store.keys, now + 2 * UNFINISHED_AFTER_US, 1.0) == 0


def test_a_reservation_that_is_not_committed_is_refunded(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of()
    engine = world.engine(0.3)
    world.theirs.pause()
    decision = reserve(world, engine, 600)
    assert (decision.allowed, decision.reason) == (False, Reason.STORE_UNAVAILABLE)
    world.theirs.resume()
    wait_until(lambda: world.resolve() == 0 and world.used() == (0, 0) and world.pending(SHARED) == 0)


def test_costs_of_all_masters_are_counted_once(world_of: Callable[..., SplitWorld]) -> None:
    """For the client, and with the largest excess."""
    world = world_of(own(1_000), shared(700))
    engine = world.engine(10)
    decision = reserve(world, engine, 600)
    engine.settle(decision.reservation or "", 800)
    assert engine.charge(CheckRequest(world.client), 50).overdrawn == 50
    counts = world.counted()
    assert [counts[kind, ""] for kind in "trxo"] == [800, 0, 250, 150]


def test_a_charge_during_a_publication_reaches_all_masters(world_of: Callable[..., SplitWorld]) -> None:
    """The client's shard has newer rules when the other part is recorded."""
    world = world_of()
    engine = world.engine(10)
    engine.check(CheckRequest(world.client), consume=False)
    world.fill_again()
    assert engine.charge(CheckRequest(world.client), 700, name=b"n" * 16).cost == 700
    assert world.used() == (700, 700)
    assert engine.charge(CheckRequest(world.client), 700, name=b"n" * 16).cost == 700
    assert world.used() == (700, 700)


def test_a_refund_that_is_finished_late(world_of: Callable[..., SplitWorld]) -> None:
    """The client's part decides, even if the reservation has expired when the other part is settled."""
    world = world_of()
    engine = world.engine(10)
    decision = reserve(world, engine, 600, ttl=1)
    found, store = ReservationId.parse(decision.reservation or ""), reservations(world, engine)
    record = store.read(found, Deadline(10))
    assert isinstance(record, OpenRecord)
    store.settle(found, record, 20, time.time_ns() // 1_000, Deadline(10))
    wait_until(lambda: time.time_ns() // 1_000 > record.expires_at)
    assert world.engine(10).settle(decision.reservation or "", 20)[1:] == (20, 580, 0)
    assert world.used() == (20, 20)


def test_two_attempts_with_the_same_name_at_once(world_of: Callable[..., SplitWorld]) -> None:
    """The second one commits while the first waits for its commit: both have the same reservation, consumed once."""
    world = world_of()
    first, second = world.engine(10), world.engine(10)
    pending = first._decider._services.pending  # type: ignore[attr-defined]
    commit, answers = pending.commit, []

    def commit_later(*arguments: Any) -> Any:
        answers.append(reserve(world, second, 400, name=b"n" * 16))
        return commit(*arguments)

    pending.commit = commit_later
    answers.append(reserve(world, first, 400, name=b"n" * 16))
    assert [(answer.allowed, answer.degraded, answer.cost) for answer in answers] == [(True, False, 400)] * 2
    assert answers[0].reservation == answers[1].reservation
    wait_until(lambda: world.used() == (400, 400))
    assert first.settle(answers[0].reservation or "", 20).refunded == 380
    assert world.used() == (20, 20)


def test_a_damaged_part_does_not_stop_other_settlements(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of()
    engine = world.engine(10)
    store, now = reservations(world, engine), time.time_ns() // 1_000
    for cost in (10, 11, 12):
        found = ReservationId.parse(reserve(world, engine, cost).reservation or "")
        wait_until(lambda: world.pending(SHARED) == 0)
        record = store.read(found, Deadline(10))
        assert isinstance(record, OpenRecord)
        store.settle(found, record, 1, now, Deadline(10))
        if cost == 10:
            world.store.redis.set(world.store.keys.reservation(shard_of(SHARED), found.name, 1), b"\x01\x05bad")
        if cost == 11:
            world.store.redis.delete(world.store.keys.reservation(found.shard, found.name))
    late = now + 2 * UNFINISHED_AFTER_US
    assert finish_all(store, world.store.redis, world.store.keys, late, 1.0) == 1
    assert world.store.redis.zcard(world.store.keys.unfinished_settlements[found.shard]) == 1


def test_a_damaged_entry_of_a_reservation_is_set_aside(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of()
    due, pending = world.store.keys.pending[shard_of(SHARED)]
    for number, content in enumerate([b"\x05bad", b"\x04bad"]):
        world.store.redis.hset(pending, bytes([number]) * 18, content)
        world.store.redis.zadd(due, {bytes([number]) * 18: 1})
    world.resolve()
    assert world.store.redis.zcard(due) == 0
