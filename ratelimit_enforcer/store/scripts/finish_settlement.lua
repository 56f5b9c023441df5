-- Ends a settlement whose other parts are settled.
--
-- KEYS  1     the record of the reservation
--       2     the unfinished settlements of the shard
-- ARGV  1     the id of the reservation
--       2     the record with the result of all parts
--
-- May be repeated.

redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') end
