-- Puts a version in force for the clients of one bucket, unless a later one is.
--
-- KEYS  1   the bucket
-- ARGV  1   the token, `<epoch>:<sequence>:<digest>`
--
-- Returns the token that is in force now. Over another epoch's token everything else in the bucket
-- goes too: those are the clients of another database. Does not expire.

local function parts(token) return string.match(token, '^(.*):(%d+):') end

local held = redis.call('HGET', KEYS[1], 'token')
if held then
  local epoch, sequence = parts(ARGV[1])
  local held_epoch, held_sequence = parts(held)
  -- What is no token is as another epoch's.
  if held_sequence and tonumber(held_sequence) > tonumber(sequence) then return held end
  if held_epoch ~= epoch then redis.call('DEL', KEYS[1]) end
end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return ARGV[1]
