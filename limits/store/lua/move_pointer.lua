-- Puts another version in the place of the one that a publisher has seen in force.
--
-- KEYS  1   the pointer
-- ARGV  1   the token that the publisher saw ("": none)
--       2   the token to put there
--
-- Returns 1 where it is there now, 0 where another publisher came in between. Does not expire.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
