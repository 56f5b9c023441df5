-- Marks a bucket as holding all of its clients, unless it was emptied since the loading began.
--
-- KEYS  1     the bucket
-- ARGV  1     the name of the loading, as it was written into the bucket at its beginning
--
-- Returns 1 where the bucket is complete now, else 0. Does not expire.

if redis.call('HGET', KEYS[1], 'loading') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'loading')
redis.call('HSET', KEYS[1], 'complete', '1')
return 1
