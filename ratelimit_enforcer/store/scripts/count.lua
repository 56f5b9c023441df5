-- Counts a request that was not decided and counted in one call, but by several masters of a Cluster,
-- or without the store.
--
-- KEYS  1     the client's shard
--       2     the usage counts of the shard
--       3     the number of new usage counts in the shard in this minute
-- ARGV  1     the minute of the request, since 1970 ("": the current one, by the server's clock)
--       2     the client's field in the shard
--       3     how many new usage counts of unregistered clients a shard accepts per minute
--       4, 5  the endpoint ("": an unregistered one) and the client, as they are counted
--       6...  kind, policy, amount and client ("": as before), for each count
--
-- Returns 1 if nothing could be counted, because the key of the counts is not a hash; else nothing. The counts
-- do not expire; see parts/usage.lua.

-- include: clock

local max_new_counts = ARGV[3]
local minute = tonumber(ARGV[1]) or math.floor(clock[1] / 60)

-- include: usage

local key_offset, client_field, endpoint, client, first_count = 0, ARGV[2], ARGV[4], ARGV[5], 6

-- include: count_request

if damage == 'all' then return 1 end
