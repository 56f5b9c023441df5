-- Commits a request whose parts have all been consumed, and counts it: from now on, it is admitted.
--
-- KEYS  1     the client's shard
--       2     the usage counts of the shard
--       3     the number of new usage counts in the shard in this minute
--       4, 5  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
--       6     the shard's committed requests: a sorted set, entry → time
-- ARGV  1     the entry of the client's part
--       2     the number of seconds for which the request is remembered as committed: until then, a
--             resolver that finds another part of it pending can ask
--       3     how many new usage counts of unregistered clients a shard accepts per minute
--       4     the client's field in the shard
--       5, 6  the endpoint ("": an unregistered one) and the client, as they are counted
--       7...  kind, policy, amount and client ("": as before), for each count
--
-- Returns 1; 2 if the request was committed and could not be counted, because the counts are damaged
-- (parts/usage.lua); 0 if nothing was changed, because the entry is overdue or was refunded, or
-- because too many requests are remembered. An overdue entry counts as refunded: its caller has stopped
-- waiting, and a resolver may be refunding it at this moment.
--
-- The set of remembered requests expires with the last of them.

-- include: clock

local now = clock[1] * 1000000 + clock[2]
local entry, remembered_seconds = ARGV[1], ARGV[2]
local due = redis.call('ZSCORE', KEYS[4], entry)
if not due or tonumber(due) <= now then return 0 end
local remembered_since = now - remembered_seconds * 1000000
if redis.call('ZCOUNT', KEYS[6], remembered_since, '+inf') >= 100000 then return 0 end

local max_new_counts, minute = ARGV[3], math.floor(clock[1] / 60)

-- include: usage

local key_offset, client_field, endpoint, client, first_count = 0, ARGV[4], ARGV[5], ARGV[6], 7

-- include: count_request

redis.call('HDEL', KEYS[5], entry)
redis.call('ZREM', KEYS[4], entry)
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', remembered_since)
redis.call('ZADD', KEYS[6], now, entry)
redis.call('EXPIRE', KEYS[6], remembered_seconds)
return damage == 'all' and 2 or 1
