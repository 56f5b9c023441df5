-- Lists the unsettled reservations of one client that can still be settled, by this server's clock.
--
-- KEYS  1  a sorted set with the names of these reservations; scores: until when each can be settled, in microseconds
--          since 1970
--
-- Returns {time in microseconds since 1970, names}. A key that is not a sorted set counts as empty.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local names = redis.pcall('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
return {now, names.err and {} or names}
