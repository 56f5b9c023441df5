-- Ends pending entries of one bucket whose requests are committed: what they consumed stays consumed.
--
-- KEYS  1, 2  the bucket's pending entries: when each is overdue, and what it holds (parts/pending.lua)
-- ARGV  the entries
--
-- Returns how many were still pending. May be called again.

redis.call('HDEL', KEYS[2], unpack(ARGV))
return redis.call('ZREM', KEYS[1], unpack(ARGV))
