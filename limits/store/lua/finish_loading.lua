-- Marks a shard as having all of its clients, unless it was emptied since the loading began.
--
-- KEYS  1     the shard
-- ARGV  1     the name of the loading, as written into the shard at the beginning
--
-- Returns 1 if the shard is complete now, else 0. Does not expire.

if redis.call('HGET', KEYS[1], 'loading') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'loading')
redis.call('HSET', KEYS[1], 'complete', '1')
return 1
