-- Takes away the usage counts of one bucket, so that new ones begin at nothing.
--
-- KEYS  1  the usage counts; 2  the counts on their way to the database; 3  what was no counts
-- ARGV  1  an id that was never used before
--
-- Returns {the id of what is on its way, how many keys were no counts and were set aside, this server's
-- minute since 1970}. The id is that of an earlier drain that did not end, or else this one; false where
-- there is nothing to bring. It lies among the counts, as the field `id`. Neither hash expires: only the
-- database's word that it has the counts removes them. What is no hash is moved out of the way, where
-- people may look at it for a week.

local set_aside, minute = 0, math.floor(redis.call('TIME')[1] / 60)
for at = 1, 2 do
  local kind = redis.call('TYPE', KEYS[at]).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('RENAME', KEYS[at], KEYS[3])
    redis.call('EXPIRE', KEYS[3], 604800)
    set_aside = set_aside + 1
  end
end

local pending = redis.call('HGET', KEYS[2], 'id')
if pending and #pending == #ARGV[1] and not pending:find('%X') then return {pending, set_aside, minute} end
if redis.call('EXISTS', KEYS[2]) == 0 then
  if redis.call('EXISTS', KEYS[1]) == 0 then return {false, set_aside, minute} end
  redis.call('RENAME', KEYS[1], KEYS[2])
end
redis.call('HSET', KEYS[2], 'id', ARGV[1])
return {ARGV[1], set_aside, minute}
