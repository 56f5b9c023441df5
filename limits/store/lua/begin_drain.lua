-- Takes away the usage counts of one bucket, so that new ones begin at nothing.
--
-- KEYS  1  the usage counts; 2  the counts on their way to the database
-- ARGV  1  an id that was never used before
--
-- Returns the id of what is on its way: that of an earlier drain that did not end, or else this
-- one; false where there is nothing to bring. The id lies among the counts, as the field `id`.
-- Neither hash expires: only the database's word that it has the counts removes them.

local pending = redis.call('HGET', KEYS[2], 'id')
if pending then return pending end
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], 'id', ARGV[1])
return ARGV[1]
