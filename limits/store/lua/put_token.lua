-- Puts a version in force for the clients of one shard, unless a later one is.
--
-- KEYS  1   the shard
-- ARGV  1   the token, `<epoch>:<sequence>:<digest>`
--
-- Returns the token that is in force now. If it replaces a token of another epoch, everything else in the
-- shard is removed too: those are the clients of another database. Does not expire.

local function parts(token) return string.match(token, '^(.*):(%d+):') end

local token, stored_token = ARGV[1], redis.call('HGET', KEYS[1], 'token')
if stored_token then
  local epoch, sequence = parts(token)
  local stored_epoch, stored_sequence = parts(stored_token)
  -- An invalid token is treated like one of another epoch.
  if stored_sequence and tonumber(stored_sequence) > tonumber(sequence) then return stored_token end
  if stored_epoch ~= epoch then redis.call('DEL', KEYS[1]) end
end
redis.call('HSET', KEYS[1], 'token', token)
return token
