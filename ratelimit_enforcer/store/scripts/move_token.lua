-- Updates one shard to the rules that the pointer names, if a publication has not reached the shard yet.
--
-- KEYS  1  the shard
-- ARGV  1  the version token that was found there
--       2  the token that the pointer names; the caller has verified its ruleset
--
-- Returns 1 if the token was replaced, 0 if the shard has another token by now. Does not expire.

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'token', ARGV[2])
return 1
