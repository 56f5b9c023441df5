"""A master of a Cluster fails between the parts of a request: requests that are not admitted are refunded,
each request is counted once, and a known decision is not changed."""

from collections.abc import Callable

import pytest

from ratelimit_enforcer.domain.enums import Mode, Reason
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.lasting_clusters import LastingCluster
from tests.support.split import SHARED, SplitWorld, masters, own, shared
from tests.support.waiting import wait_until

__all__ = ["masters"]

pytestmark = pytest.mark.xdist_group("split-failures")

HANGS = 0.3
"""Seconds that a check waits for a hanging master."""


@pytest.fixture
def world_of(masters: LastingCluster) -> Callable[..., SplitWorld]:
    def begin(*policies: Policy) -> SplitWorld:
        return SplitWorld(masters.ready(), *policies)

    return begin


def fill(server: RedisServer, memory: int = 1) -> None:
    """Makes a master reject all writes; with ``memory`` 0 it accepts them again."""
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", memory)


def make_overdue(world: SplitWorld, name: str) -> None:
    """Makes all pending entries in the shard of a client or a policy overdue."""
    due, _ = world.store.keys.pending[shard_of(name)]
    world.store.redis.zadd(due, dict.fromkeys(world.store.redis.zrange(due, 0, -1), 1))


def test_a_request_at_a_hanging_master_is_refunded_and_counted(
    world_of: Callable[..., SplitWorld],
) -> None:
    world = world_of()
    engine = world.engine(HANGS)
    world.theirs.pause()
    answer = world.ask(engine)
    assert (answer.allowed, answer.reason) == (False, Reason.STORE_UNAVAILABLE)
    wait_until(lambda: world.pending(world.client) == 0)
    world.theirs.resume()
    wait_until(lambda: world.resolve() == 0 and world.used() == (0, 0) and world.pending(SHARED) == 0)
    # In the store only the commit counts, and it was not sent, so the process counts.
    wait_until(lambda: world.counted() == {("d", ""): 1})


def test_an_admitted_request_that_cannot_be_counted_is_not_admitted_and_is_refunded(
    world_of: Callable[..., SplitWorld],
) -> None:
    world = world_of()
    engine = world.engine(60)
    with world.between_parts(engine) as asked:
        fill(world.ours)
    answer = asked.result()
    assert (answer.allowed, answer.degraded, answer.reason) == (False, True, Reason.STORE_UNAVAILABLE)
    fill(world.ours, 0)
    wait_until(lambda: world.used() == (0, 0))
    wait_until(lambda: world.counted() == {("d", ""): 1})


def test_a_denial_that_cannot_be_counted_is_returned_and_counted_later(
    world_of: Callable[..., SplitWorld],
) -> None:
    world = world_of(own(), shared(0))
    engine = world.engine(60)
    with world.between_parts(engine) as asked:
        fill(world.ours)
    answer = asked.result()
    assert (answer.allowed, answer.degraded, answer.reason) == (False, False, Reason.COST_EXCEEDS_QUOTA)
    fill(world.ours, 0)
    wait_until(lambda: world.used() == (0, 0))
    wait_until(lambda: world.counted() == {("d", ""): 1, ("d", SHARED): 1})


def test_a_denial_whose_count_is_lost_is_counted_once(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of(own(), shared(0))
    engine = world.engine(5)
    with world.between_parts(engine) as asked:
        world.ours.pause()
    answer = asked.result()
    assert (answer.allowed, answer.degraded) == (False, False)
    world.ours.resume()
    wait_until(lambda: world.used() == (0, 0))
    wait_until(lambda: world.counted() == {("d", ""): 1, ("d", SHARED): 1})


def test_a_process_that_was_suspended_for_too_long_does_not_admit(world_of: Callable[..., SplitWorld]) -> None:
    """Meanwhile the request was overdue, and another process has refunded the client's part."""
    world = world_of()
    engine = world.engine(60)
    with world.between_parts(engine) as asked:
        make_overdue(world, world.client)
        assert world.resolve_of(world.client) == 1
    answer = asked.result()
    assert (answer.allowed, answer.reason) == (False, Reason.STORE_UNAVAILABLE)
    wait_until(lambda: world.used() == (0, 0) and world.pending(SHARED) == 0)
    wait_until(lambda: world.counted() == {("d", ""): 1})


def test_entries_of_a_killed_process_are_resolved_by_the_next_check_that_meets_them(
    world_of: Callable[..., SplitWorld],
) -> None:
    """Without Celery. The entries are made overdue, as they would be after some seconds."""
    world = world_of()
    engine = world.engine(60)
    engine._decider._completer._is_running = True  # type: ignore[attr-defined]  # the completer no longer works
    assert world.ask(engine).allowed
    assert (world.used(), world.pending(SHARED)) == ((1, 1), 1)
    with world.between_parts(engine) as asked:
        make_overdue(world, world.client)
    assert asked.result().reason is Reason.STORE_UNAVAILABLE
    make_overdue(world, SHARED)
    other = world.engine(60)
    assert world.ask(other).allowed
    wait_until(lambda: world.pending(SHARED) + world.pending(world.client) == 0)
    assert world.used() == (2, 2)


def test_counts_of_a_batch_stay_exact_if_a_master_hangs(world_of: Callable[..., SplitWorld]) -> None:
    world = world_of(own(), shared(2))
    engine = world.engine(HANGS)
    requests = [CheckRequest(world.client, "search")] * 4
    answers = engine.check_in_order(requests)
    assert [answer.allowed for answer in answers] == [True, True, False, False]
    assert not any(answer.degraded for answer in answers)
    wait_until(lambda: world.used() == (2, 2))
    assert world.counted() == {("a", ""): 2, ("d", ""): 2, ("d", SHARED): 2}
    world.theirs.pause()
    assert {answer.reason for answer in engine.check_in_order(requests)} == {Reason.STORE_UNAVAILABLE}
    world.theirs.resume()
    wait_until(lambda: world.resolve() == 0 and world.used() == (2, 2))
    wait_until(lambda: world.counted()["d", ""] == 6)


def test_shadow_policies_are_refunded_if_they_consumed(world_of: Callable[..., SplitWorld]) -> None:
    """The shadow policy would have denied and consumed nothing, so nothing is refunded to it."""
    world = world_of(own(mode=Mode.SHADOW), shared(1))
    engine = world.engine(60)
    assert [world.ask(engine).allowed for _ in range(3)] == [True, False, False]
    wait_until(lambda: world.used() == (1, 1))


def test_if_a_commit_is_lost_with_its_master_the_other_parts_are_refunded(
    world_of: Callable[..., SplitWorld],
) -> None:
    world = world_of()
    engine = world.engine(3)
    with world.between_parts(engine) as asked:
        world.ours.pause()
    answer = asked.result()
    assert (answer.allowed, answer.reason) == (False, Reason.STORE_UNAVAILABLE)
    assert world.pending(SHARED) == 1
    # The master never reads what was sent to it, and restarts empty.
    world.ours.kill()
    world.ours.start()
    wait_until(world.topology.is_whole)
    world.fill_again()
    wait_until(lambda: world.pending(SHARED) == 0)
    wait_until(lambda: world.used() == (0, 0))
