-- Replaces the version that a publisher has seen in force by another one.
--
-- KEYS  1   the pointer
-- ARGV  1   the token that the publisher saw ("": none)
--       2   the new token
--
-- Returns 1 if the new token is stored, 0 if another publisher was faster. Does not expire.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
