-- Sets the usage counts of one shard aside, so that new counts start from zero.
--
-- KEYS  1  the usage counts; 2  the counts on their way to the database; 3  a key for damaged usage counts
-- ARGV  1  an id that was never used before
--
-- Returns {the id of the counts set aside, number of keys that were not a hash and were moved, this server's
-- minute since 1970}. The id is that of an earlier, unfinished drain, or else the given one; false if there
-- are no counts. It is stored among the counts, as the field `id`. Neither hash expires: the counts are only
-- removed once the database has confirmed them. A key that is not a hash is moved to the third key, where it
-- can be inspected for a week.

local moved, minute = 0, math.floor(redis.call('TIME')[1] / 60)
for at = 1, 2 do
  local redis_type = redis.call('TYPE', KEYS[at]).ok
  if redis_type ~= 'hash' and redis_type ~= 'none' then
    redis.call('RENAME', KEYS[at], KEYS[3])
    redis.call('EXPIRE', KEYS[3], 604800)
    moved = moved + 1
  end
end

local new_id, unfinished_id = ARGV[1], redis.call('HGET', KEYS[2], 'id')
if unfinished_id and #unfinished_id == #new_id and not unfinished_id:find('%X') then
  return {unfinished_id, moved, minute}
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  if redis.call('EXISTS', KEYS[1]) == 0 then return {false, moved, minute} end
  redis.call('RENAME', KEYS[1], KEYS[2])
end
redis.call('HSET', KEYS[2], 'id', new_id)
return {new_id, moved, minute}
