"""A sliding window whose total exceeds the sum of its runs: no client is denied because of requests never made."""

import struct

import pytest

from ratelimit_enforcer.store.answers import Decided, Undecidable
from tests.support.deciding import START, Desk, policy, sliding

RULES = [policy("all", sliding(10, 60))]
TOTAL = slice(22, 26)
"""After the header of the counter (15 bytes) and of its first limit (7 bytes)."""


@pytest.mark.parametrize(("total", "seconds"), [(50, 1), (11, 1), (3, 61), (50, 61)])
def test_an_inconsistent_total_is_damage_and_the_counter_starts_empty(desk: Desk, total: int, seconds: int) -> None:
    desk.delete_counters()
    desk.at(START)
    desk.check("ann", RULES)
    (key,) = desk.redis.keys("*:n:*")
    written = desk.redis.get(key)
    assert struct.unpack(">I", written[TOTAL]) == (1,)
    desk.redis.set(key, written[: TOTAL.start] + struct.pack(">I", total) + written[TOTAL.stop :])
    desk.at(START + seconds * 1_000_000)
    assert isinstance(desk.decide(desk.request("ann", RULES)), Undecidable)
    afterwards = desk.decide(desk.request("ann", RULES))
    assert isinstance(afterwards, Decided)
    assert afterwards.admitted
    assert [used for _, used, *_ in afterwards.readings] == [0]
