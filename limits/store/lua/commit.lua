local clock = redis.call('TIME')
-- Commits a request whose parts have all been consumed, and counts it: from here on it is admitted.
--
-- KEYS  1     the client's bucket
--       2     the usage counts of the bucket
--       3     how many new ones it took in this minute
--       4, 5  its pending entries: when each is overdue, and what it holds (parts/pending.lua)
--       6     its committed requests: a sorted set, entry → when
-- ARGV  1     the entry of the client's part
--       2     for how many seconds the request is remembered as committed: until then somebody who
--             finds another part of it pending can ask
--       3     how many new usage counts of unregistered clients a bucket takes in a minute
--       4     the client's field in the bucket
--       5, 6  the endpoint ("": one that nobody registered) and the client, as they are counted
--       7...  kind, policy and how many, for each count
--
-- Returns 1; 2 where it was committed and could not be counted, because the counts are damaged
-- (parts/usage.lua); 0 where nothing was changed, because the entry is overdue or was refunded already, or
-- because too many requests are remembered. An entry that is overdue counts as refunded: the caller
-- does not wait for it any more, and another one may just be refunding it.
--
-- What is remembered expires with the last of it.

local now = clock[1] * 1000000 + clock[2]
local due = redis.call('ZSCORE', KEYS[4], ARGV[1])
if not due or tonumber(due) <= now then return 0 end
local remembered_since = now - ARGV[2] * 1000000
if redis.call('ZCOUNT', KEYS[6], remembered_since, '+inf') >= 100000 then return 0 end

local bound, minute = ARGV[3], math.floor(clock[1] / 60)

-- include: usage

local record = redis.pcall('HGET', KEYS[1], ARGV[4])
if type(record) ~= 'string' then record = nil end
for at = 7, #ARGV, 3 do
  count(0, record, ARGV[at], ARGV[5], ARGV[at + 1], ARGV[6], tonumber(ARGV[at + 2]))
end
redis.call('HDEL', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', remembered_since)
redis.call('ZADD', KEYS[6], now, ARGV[1])
redis.call('EXPIRE', KEYS[6], ARGV[2])
return damage == 'all' and 2 or 1
