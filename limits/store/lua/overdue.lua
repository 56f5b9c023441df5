local clock = redis.call('TIME')
-- Reads the pending entries of one bucket that are overdue, the oldest first. Changes nothing.
--
-- KEYS  1, 2  the bucket's pending entries: when each is overdue, and what it holds (parts/pending.lua)
-- ARGV  1     how many at most
--
-- Returns {now, entry, what it holds (false: it was lost), entry, ...}; times are in microseconds.

local now = clock[1] * 1000000 + clock[2]
local found = {now}
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  found[#found + 1] = entry
  found[#found + 1] = redis.call('HGET', KEYS[2], entry)
end
return found
