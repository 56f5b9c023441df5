"""Requests in parts: the state after each step, and the result for requests that stop at any step."""

import secrets

import pytest
from redis.exceptions import ResponseError

from limits.store.clients import CounterResetter
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.usage import Count
from ratelimit_enforcer.store.completer import Resolver
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import COMPLETE_FIELD, TOKEN_FIELD, shard_of
from ratelimit_enforcer.store.pending import COMMIT_RETENTION, Consumption, EndResult, Outcome, UnreadableEntry, Usage
from ratelimit_enforcer.store.pending import entry_of as entry
from tests.support.counts import counted
from tests.support.deciding import START, TOKEN, Desk, policy

QUOTA = 6
RULES = [policy("own", Limit(QUOTA, 3_600))]
USAGE = Usage("ann", "search", [Count("a", "", 1)])
DENIED = Usage("ann", "search", [Count("d", "", 1), Count("d", "everyone", 1)])
HOME = shard_of("ann")
WITHIN = Deadline(10**6)


@pytest.fixture(autouse=True)
def empty(desk: Desk) -> None:
    desk.delete_counters()
    desk.redis.delete(*desk.keys.usage)


def consumed(desk: Desk, cost: int = 1, *, timeout: float = 1.0) -> Consumption:
    found = desk.consume(desk.request("ann", RULES, cost), timeout=timeout)
    assert found
    return found


def used(desk: Desk, slug: str = "own") -> int:
    answer = desk.check("ann", [policy(slug, Limit(QUOTA, 3_600))], consume=False)
    return answer.readings[0][1]


def sizes(desk: Desk, shard: int = HOME) -> tuple[int, int, int]:
    """The number of entries with a due time, of pending entries, and of recorded commits."""
    due, pending = desk.keys.pending[shard]
    return desk.redis.zcard(due), desk.redis.hlen(pending), desk.redis.zcard(desk.keys.committed[shard])


def test_a_commit_counts_once_and_removes_the_entry(desk: Desk) -> None:
    home = consumed(desk)
    assert (sizes(desk), counted(desk)) == ((1, 1, 0), {})
    assert [desk.pending.commit(home, USAGE, WITHIN) for _ in range(2)] == [True, False]
    assert (sizes(desk), counted(desk)) == ((0, 0, 1), {("a", ""): 1})
    assert not desk.pending.refund(home, WITHIN)
    assert used(desk) == 1


def test_a_refund_counts_once_and_prevents_a_commit(desk: Desk) -> None:
    home = consumed(desk)
    assert [desk.pending.refund(home, WITHIN, DENIED) for _ in range(2)] == [True, False]
    assert (sizes(desk), counted(desk)) == ((0, 0, 0), {("d", ""): 1, ("d", "everyone"): 1})
    assert not desk.pending.commit(home, USAGE, WITHIN)
    assert (used(desk), counted(desk)["a", ""]) == (0, 0)


@pytest.mark.parametrize(("later", "in_time"), [(SECOND_US - 1, True), (SECOND_US, False)])
def test_an_overdue_entry_can_no_longer_be_committed(desk: Desk, later: int, in_time: bool) -> None:
    home = consumed(desk, timeout=1)
    desk.at(START + later)
    assert bool(list(desk.pending.overdue(HOME, WITHIN))) is not in_time
    assert desk.pending.commit(home, USAGE, WITHIN) is EndResult(in_time)
    assert counted(desk)["a", ""] == in_time


@pytest.mark.parametrize("ended", ["committed", "open", "overdue", "refunded", "forgotten"])
def test_the_outcome_of_a_request(desk: Desk, ended: str) -> None:
    home = consumed(desk)
    if ended in ("committed", "forgotten"):
        desk.pending.commit(home, USAGE, WITHIN)
    if ended == "forgotten":
        desk.pending.drop_committed(HOME, [home], WITHIN)
    if ended == "refunded":
        desk.pending.refund(home, WITHIN)
    if ended == "overdue":
        desk.at(START + SECOND_US)
    expected = {"committed": Outcome.COMMITTED, "open": Outcome.OPEN}.get(ended, Outcome.REFUNDED)
    assert desk.pending.outcome(HOME, home.entry, WITHIN) is expected
    assert used(desk) == (0 if ended in ("overdue", "refunded") else 1)


def test_a_denied_part_leaves_no_data(desk: Desk) -> None:
    assert desk.consume(desk.request("ann", RULES, QUOTA + 1)) is None
    assert sizes(desk) == (0, 0, 0)


def test_consuming_reports_overdue_entries_admitted_or_not(desk: Desk) -> None:
    consumed(desk, QUOTA)
    told = []
    for now, cost in ((START, 1), (START + SECOND_US - 1, 1), (START + SECOND_US, 1)):
        desk.at(now)
        desk.consume(desk.request("ann", RULES, cost))
        told.append(desk.overdue)
    assert told == [0, 0, 1]


def test_entries_are_bounded_and_the_oldest_is_removed_first(desk: Desk) -> None:
    due, pending = desk.keys.pending[HOME]
    first = consumed(desk)
    desk.redis.zadd(due, {secrets.token_bytes(18): START + 9 * SECOND_US for _ in range(4_095)})
    assert desk.redis.zcard(due) == 4_096
    last = consumed(desk, timeout=10)
    assert desk.redis.zcard(due) == 4_096
    assert not desk.pending.refund(first, WITHIN)
    assert desk.pending.refund(last, WITHIN)
    assert used(desk) == 1
    assert 0 < desk.redis.ttl(due) <= 7_200
    consumed(desk)
    assert 0 < desk.redis.ttl(pending) <= 7_200


def test_records_of_commits_expire_and_are_bounded(desk: Desk) -> None:
    key = desk.keys.committed[HOME]
    homes = [consumed(desk, timeout=10**6) for _ in range(4)]
    assert desk.pending.commit(homes[0], USAGE, WITHIN)
    desk.at(START + COMMIT_RETENTION * SECOND_US - 1)
    assert desk.pending.commit(homes[1], USAGE, WITHIN)
    assert desk.redis.zcard(key) == 2
    desk.at(START + COMMIT_RETENTION * SECOND_US)
    assert desk.pending.commit(homes[2], USAGE, WITHIN)
    assert desk.redis.zcard(key) == 2
    assert 0 < desk.redis.ttl(key) <= COMMIT_RETENTION
    desk.redis.zadd(key, {str(number): desk.now for number in range(100_000)})
    assert not desk.pending.commit(homes[3], USAGE, WITHIN)
    assert desk.pending.refund(homes[3], WITHIN)


def test_keys_of_a_wrong_type_leave_the_counters_unchanged(desk: Desk) -> None:
    """Another program that uses the same Redis may have written them."""
    for key in desk.keys.pending[HOME]:
        desk.redis.set(key, "something else")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            consumed(desk)
        desk.redis.delete(key)
        assert (used(desk), sizes(desk)) == (0, (0, 0, 0))


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\xff" * 40])
def test_an_unreadable_entry_does_not_block_the_others(desk: Desk, garbage: bytes) -> None:
    broken, whole = consumed(desk), consumed(desk)
    desk.redis.hset(desk.keys.pending[HOME][1], broken.entry, garbage)
    desk.at(START + SECOND_US)
    assert any(isinstance(found, UnreadableEntry) for found in desk.pending.overdue(HOME, WITHIN))
    assert Resolver(desk.pending).resolve(HOME, 60) == 1
    assert (used(desk), sizes(desk)) == (1, (0, 0, 0))
    assert not desk.pending.refund(whole, WITHIN)


def test_an_unreadable_counter_does_not_block_the_others(desk: Desk) -> None:
    broken = desk.consume(desk.request("ann", [policy("broken", Limit(9, 60))]))
    assert broken
    consumed(desk)
    desk.redis.set(broken.counters[0], b"\x01")
    desk.at(START + SECOND_US)
    assert Resolver(desk.pending).resolve(HOME, 60) == 2
    assert (used(desk), sizes(desk)) == (0, (0, 0, 0))


def test_nothing_is_refunded_into_counters_after_a_reset(desk: Desk) -> None:
    """Nothing is refunded to the deleted counter; another counter of the same request gets its refund."""
    rules = [*RULES, policy("other", Limit(QUOTA, 60))]
    home = desk.consume(desk.request("ann", rules, 2))
    desk.redis.hset(desk.keys.pending[HOME][1], "garbage", "garbage")
    assert home
    assert CounterResetter(desk.redis, desk.keys).erase("ann", ["own", "never used"]) == 1
    desk.at(START + 1)
    consumed(desk, 3)
    assert desk.pending.refund(home, WITHIN)
    assert (used(desk), desk.check("ann", rules[1:], consume=False).readings[0][1]) == (3, 0)


def test_damaged_counts_prevent_neither_commit_nor_refund(desk: Desk) -> None:
    """The caller learns that the request was not counted."""
    homes = [consumed(desk) for _ in range(2)]
    for key in desk.keys.of_request[HOME]:
        desk.redis.set(key, "something else")
    assert desk.pending.commit(homes[0], USAGE, WITHIN) is EndResult.UNCOUNTED
    assert desk.pending.refund(homes[1], WITHIN, DENIED) is EndResult.UNCOUNTED
    assert sizes(desk) == (0, 0, 1)
    shard, usage, _ = desk.keys.of_request[HOME]
    desk.redis.delete(shard, usage)
    desk.redis.hset(shard, mapping={TOKEN_FIELD: TOKEN, COMPLETE_FIELD: "1"})
    assert used(desk) == 1


ELSEWHERE = 77
"""A shard other than the client's."""


def part_elsewhere(desk: Desk, home: Consumption, *, at: int | None = None) -> Consumption:
    """A second part of the same request, in another shard."""
    desk.at(desk.now if at is None else at)
    other = next(name for name in map(str, range(10_000)) if shard_of(name) == ELSEWHERE)
    request = desk.request(other, RULES)
    found = desk.consume(request, entry=entry(home.entry[:16], 1), timeout=1.0, home=home.shard)
    assert found
    return found


@pytest.mark.parametrize("age", [2 * SECOND_US, COMMIT_RETENTION // 2 * SECOND_US, COMMIT_RETENTION * SECOND_US])
def test_a_part_in_another_shard_follows_the_outcome_of_its_request(desk: Desk, age: int) -> None:
    homes = [consumed(desk, timeout=10**6) for _ in range(3)]
    parts = [part_elsewhere(desk, home) for home in homes]
    desk.pending.commit(homes[0], USAGE, WITHIN)
    desk.pending.refund(homes[1], WITHIN)
    desk.at(START + age)
    assert Resolver(desk.pending).resolve(ELSEWHERE, 60) == 2
    # The third may still be committed, so it waits; the refund requires that commits are still recorded.
    assert desk.redis.hkeys(desk.keys.pending[ELSEWHERE][1]) == [parts[2].entry]
    other = desk.check(parts[0].counters[0].rpartition(":")[2], RULES, consume=False)
    assert other.readings[0][1] == (
        2 if age < COMMIT_RETENTION // 2 * SECOND_US else 3 if age < COMMIT_RETENTION * SECOND_US else 0
    )
