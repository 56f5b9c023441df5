"""Other programs may write to the keys of reservations: settling takes effect once, and stops nobody."""

import struct
from collections.abc import Callable

import pytest

from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.reservations import ReservationId
from ratelimit_enforcer.store.keys import places_of
from tests.store.test_settling import ask, reserve, settle
from tests.support.deciding import START, Desk, policy, sliding, token_bucket

RULES = [policy("alone", sliding(1_000, 3_600), Limit(5, 60, Algorithm.CONCURRENCY))]


@pytest.fixture(autouse=True)
def empty(desk: Desk) -> None:
    desk.delete_counters()
    desk.redis.delete(*desk.keys.usage)


def counter(desk: Desk) -> str:
    return desk.keys.counter(desk.shard("ann"), "alone", "ann")


def made(desk: Desk, cost: int) -> ReservationId:
    reservation = reserve(desk, RULES, cost)
    assert reservation
    return reservation


KEYS: dict[str, Callable[[Desk], str]] = {
    "places": lambda desk: places_of(counter(desk)),
    "of the client": lambda desk: desk.keys.open_reservations_of(desk.shard("ann"), "ann"),
    "of the shard": lambda desk: desk.keys.open_reservations[desk.shard("ann")],
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(("cost", "used"), [(20, 120), (700, 800)])
def test_a_key_of_another_type(desk: Desk, key: Callable[[Desk], str], cost: int, used: int) -> None:
    reservation, _ = made(desk, 600), made(desk, 100)
    desk.redis.delete(key(desk))
    desk.redis.set(key(desk), "other")
    assert settle(desk, reservation, cost).cost == cost
    assert ask(desk, [policy("alone", sliding(1_000, 3_600))], 1, consume=False).remaining == 1_000 - used
    assert made(desk, 1)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x00" * 15, b"\x00" * 15 + b"\x02" + b"\xff" * 40])
@pytest.mark.parametrize("cost", [20, 700])
def test_a_damaged_counter_is_left_to_the_next_check(desk: Desk, content: bytes, cost: int) -> None:
    reservation = made(desk, 600)
    desk.redis.set(counter(desk), content)
    assert settle(desk, reservation, cost).cost == cost


def test_a_counter_of_another_type_is_left_to_the_next_check(desk: Desk) -> None:
    reservation = made(desk, 600)
    desk.redis.delete(counter(desk))
    desk.redis.hset(counter(desk), "field", "other")
    assert settle(desk, reservation, 20).cost == 20


def test_a_bucket_with_an_absurd_level_ends_the_script(desk: Desk) -> None:
    rules = [policy("alone", token_bucket(999_999_937, 1))]
    reservation = reserve(desk, rules, 5)
    assert reservation
    content = bytearray(desk.redis.get(counter(desk)))
    at = content.index(struct.pack(">Q", START)) + 8
    content[at : at + 8] = struct.pack(">Q", 2**63)
    desk.redis.set(counter(desk), bytes(content))
    assert settle(desk, reservation, 700).cost == 700


def test_the_usage_of_a_bucket_is_refilled_at_a_raised_quota_after_a_refund(desk: Desk) -> None:
    """100 of 100 are used; at the new quota they are refilled within half a second, and a refund takes none away."""
    hour = 3_600
    reservation = reserve(desk, [policy("alone", token_bucket(100, hour))], 20)
    assert ask(desk, [policy("alone", token_bucket(100, hour))], 80).allowed
    rules = [policy("alone", token_bucket(10**6, hour, 100))]
    desk.at(START + SECOND_US // 2)
    assert ask(desk, rules, 1, consume=False).remaining == 100
    assert reservation
    settle(desk, reservation, 10)
    assert ask(desk, rules, 1, consume=False).remaining == 100
