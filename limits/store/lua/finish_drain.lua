-- Removes counts that are in the database.
--
-- KEYS  1  the counts on their way to the database
-- ARGV  1  the id that the database confirmed
--
-- Returns 1 if they were removed, 0 if the key has other counts by now.

if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])
