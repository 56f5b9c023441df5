-- Moves one bucket on to the rules that the pointer names, where a publish has not reached it yet.
--
-- KEYS  1  the bucket
-- ARGV  1  the version token that was found there
--       2  the one that the pointer names, and whose ruleset the caller has verified
--
-- Returns 1 where it was moved, 0 where another token is there by now. Does not expire.

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'token', ARGV[2])
return 1
