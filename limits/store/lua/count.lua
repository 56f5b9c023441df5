local clock = redis.call('TIME')
-- Counts a request that was not decided and counted in one call: by several masters of a Cluster,
-- or without the store.
--
-- KEYS  1     the client's bucket
--       2     the usage counts of the bucket
--       3     how many new ones it took in this minute
-- ARGV  1     the minute since 1970 that it belongs to ("": this one, by the server's clock)
--       2     the client's field in the bucket
--       3     how many new usage counts of unregistered clients a bucket takes in a minute
--       4, 5  the endpoint ("": one that nobody registered) and the client, as they are counted
--       6...  kind, policy and how many, for each count
--
-- Returns 1 where nothing could be counted, because the counts are no hash; else nothing. The counts do not expire; see parts/usage.lua.

local bound = ARGV[3]
local minute = tonumber(ARGV[1]) or math.floor(clock[1] / 60)

-- include: usage

local record = redis.pcall('HGET', KEYS[1], ARGV[2])
if type(record) ~= 'string' then record = nil end
for at = 6, #ARGV, 3 do
  count(0, record, ARGV[at], ARGV[4], ARGV[at + 1], ARGV[5], tonumber(ARGV[at + 2]))
end
if damage == 'all' then return 1 end
