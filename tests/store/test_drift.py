"""Ten million decisions of one token bucket without a microsecond of drift."""

import struct

import pytest
from redis import Redis

from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.store import scripts

DECISIONS_A_CALL = 100_000
# The section of the decision script in a loop; clock and costs come from a small random generator.
LOOP = """
local pack, unpack, floor, ceil = struct.pack, struct.unpack, math.floor, math.ceil
-- include: codes
-- Nobody reads the figures, so they are packed into nothing.
local READING, window, counter_size = '', 60, 31
local now, seed = tonumber(ARGV[1]), tonumber(ARGV[2])
local quota, token_time_or_period_end, token_time_rest, burst_time, burst_time_rest, step =
  tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local counter, spent = ARGV[9], 0
for _ = 1, tonumber(ARGV[10]) do
  seed = (seed * 16807) % 2147483647
  now = now + seed % step
  local cost = 1 + seed % 7
  local state_begin, state_end, is_damaged, is_corrected = 8, 32, false, false
  local new_states, readings, limit_admits, needed_until, bucket_waits_until = '', '', false, 0, 0
  local used, capacity
  -- include: token_bucket
  assert(not is_damaged and not is_corrected)
  if limit_admits then counter, spent = new_states, spent + cost end
end
return {tostring(seed), string.format('%.0f', now), counter, spent}
"""


@pytest.mark.parametrize(
    ("quota", "window", "burst", "calls"),
    [(7, 3, 10**6, 100), (999_999_937, 86_400, 10**9, 10), (10**9, 31_622_400, 10**9, 10)],
)
def test_ten_million_decisions_are_exact(redis_url: str, quota: int, window: int, burst: int, calls: int) -> None:
    loop = scripts.Script(scripts.assembled(LOOP))
    length = window * SECOND_US
    numbers = (*divmod(length, quota), *divmod(burst * length, quota))
    # The bucket starts half empty and refills less than is requested: it is never full, so nothing is capped.
    start, step = burst // 2, max(2, 4 * length // quota)
    seed, now, spent = b"1", 0, start
    state = struct.pack(">BIHQQII", 2, 60, 24, 0, *divmod(start * length, quota), quota)
    with Redis.from_url(redis_url) as redis:
        for _ in range(calls):
            call = (loop.source, 0, now, seed, quota, *numbers, step, state, DECISIONS_A_CALL)
            seed, told, state, admitted = redis.eval(*call)
            now, spent = int(told), spent + admitted
    *_, at, used, rest, _ = struct.unpack(">BIHQQII", state)
    assert spent > start
    assert used * quota + rest == spent * length - at * quota
