-- Ends pending entries of one shard whose requests are committed; the cost that they consumed is final.
--
-- KEYS  1, 2  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
-- ARGV  the entries
--
-- Returns how many were still pending. May be repeated.

redis.call('HDEL', KEYS[2], unpack(ARGV))
return redis.call('ZREM', KEYS[1], unpack(ARGV))
