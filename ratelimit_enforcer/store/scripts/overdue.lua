-- Reads the overdue pending entries of one shard, the oldest first. Changes nothing.
--
-- KEYS  1, 2  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
-- ARGV  1     how many at most
--
-- Returns {now, entry, its content (false: it was lost), entry, ...}; times are in microseconds.

-- include: clock

local now = clock[1] * 1000000 + clock[2]
local found = {now}
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  found[#found + 1] = entry
  found[#found + 1] = redis.call('HGET', KEYS[2], entry)
end
return found
