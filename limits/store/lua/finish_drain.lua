-- Forgets counts that the database has.
--
-- KEYS  1  the counts on their way to the database
-- ARGV  1  the id that the database confirmed
--
-- Returns 1 where they were forgotten, 0 where other counts are there by now.

if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
