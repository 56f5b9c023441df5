"""A Cluster's masters fail while a request is between them: nothing that was not admitted stays consumed,
each request is counted once, and a decision that is known stays what it is."""

from collections.abc import Callable

import pytest

from ratelimit_enforcer.domain.enums import Mode, Reason
from ratelimit_enforcer.domain.ruleset import Policy
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.lasting_clusters import LastingCluster
from tests.support.split import SHARED, SplitWorld, masters, own, shared
from tests.support.waiting import wait_until

__all__ = ["masters"]

pytestmark = pytest.mark.xdist_group("split-failures")

HANGS = 0.3
"""Seconds that a check waits for a master that does not answer."""


@pytest.fixture
def world_of(masters: LastingCluster) -> Callable[..., SplitWorld]:
    def begin(*policies: Policy) -> SplitWorld:
        return SplitWorld(masters.ready(), *policies)

    return begin


def fill(server: RedisServer, memory: int = 1) -> None:
    """Lets a master refuse every write; 0: no more."""
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", memory)


def make_overdue(world: SplitWorld, name: str) -> None:
    """Everything that is pending in the shard of a client or a policy."""
    due, _ = world.store.keys.pending[shard_of(name)]
    world.store.redis.zadd(due, dict.fromkeys(world.store.redis.zrange(due, 0, -1), 1))


def test_a_master_that_hangs_costs_the_client_nothing_and_the_request_is_counted(
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
    # Nobody but the commit counts, and it was not sent: so the process counts.
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


def test_a_denial_that_cannot_be_counted_is_the_answer_and_is_counted_later(
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


def test_a_process_that_was_stopped_for_too_long_admits_nothing(world_of: Callable[..., SplitWorld]) -> None:
    """Somebody has refunded the client's part, since the request was overdue."""
    world = world_of()
    engine = world.engine(60)
    with world.between_parts(engine) as asked:
        make_overdue(world, world.client)
        assert world.resolve_of(world.client) == 1
    answer = asked.result()
    assert (answer.allowed, answer.reason) == (False, Reason.STORE_UNAVAILABLE)
    wait_until(lambda: world.used() == (0, 0) and world.pending(SHARED) == 0)
    wait_until(lambda: world.counted() == {("d", ""): 1})


def test_what_a_lost_process_left_is_resolved_by_the_next_check_that_meets_it(
    world_of: Callable[..., SplitWorld],
) -> None:
    """Without Celery. The entries are made overdue, as they are some seconds later."""
    world = world_of()
    engine = world.engine(60)
    engine._decider._completer._is_running = True  # type: ignore[attr-defined]  # it does nothing any more
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


def test_a_batch_that_is_cut_in_the_middle_keeps_what_was_decided(world_of: Callable[..., SplitWorld]) -> None:
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


def test_policies_that_only_report_are_refunded_like_the_others(world_of: Callable[..., SplitWorld]) -> None:
    """The shadow policy would have denied and consumed nothing, so nothing is refunded to it."""
    world = world_of(own(mode=Mode.SHADOW), shared(1))
    engine = world.engine(60)
    assert [world.ask(engine).allowed for _ in range(3)] == [True, False, False]
    wait_until(lambda: world.used() == (1, 1))


def test_a_commit_that_is_lost_with_its_master_leaves_nothing_consumed_elsewhere(
    world_of: Callable[..., SplitWorld],
) -> None:
    world = world_of()
    engine = world.engine(3)
    with world.between_parts(engine) as asked:
        world.ours.pause()
    answer = asked.result()
    assert (answer.allowed, answer.reason) == (False, Reason.STORE_UNAVAILABLE)
    assert world.pending(SHARED) == 1
    # What was sent to it is never read. It comes back empty.
    world.ours.kill()
    world.ours.start()
    wait_until(world.topology.is_whole)
    world.fill_again()
    wait_until(lambda: world.pending(SHARED) == 0)
    wait_until(lambda: world.used() == (0, 0))
