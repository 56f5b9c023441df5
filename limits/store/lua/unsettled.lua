-- Counts the unsettled reservations of one shard, by this server's clock.
--
-- KEYS  1  a sorted set with the ids of these reservations; scores: when each expires, in microseconds since 1970
--
-- Returns {number of those that have not expired, number of those that expired within the last 24 hours}. Earlier
-- ones can no longer be settled: the next reservation in the shard removes them. A key that is not a sorted set
-- counts as empty.

local function number_of(after, until_and_including)
  local found = redis.pcall('ZCOUNT', KEYS[1], '(' .. after, until_and_including)
  return type(found) == 'number' and found or 0
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local day_ago = string.format('%.0f', (time[1] - 86400) * 1000000 + time[2])
return {number_of(now, '+inf'), number_of(day_ago, now)}
