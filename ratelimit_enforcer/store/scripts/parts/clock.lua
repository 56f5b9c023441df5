-- SECTION: the time
-- Sets   clock: seconds since 1970 and microseconds, by the Redis server's clock
-- Why    every script reads the time here only, so that it can be loaded with another clock
local clock = redis.call('TIME')
