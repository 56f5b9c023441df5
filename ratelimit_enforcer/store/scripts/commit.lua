-- Commits a request whose parts have all been consumed, and counts it: from now on, it is admitted.
--
-- KEYS  1     the client's shard
--       2     the usage counts of the shard
--       3     the number of new usage counts in the shard in this minute
--       4, 5  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
--       6     the shard's committed requests: a sorted set, entry → time
--       7     the record of a reservation
--       8, 9  the unsettled reservations of the client and of the shard
-- ARGV  1     the entry of the client's part
--       2     the number of seconds for which the request is remembered as committed: until then, a
--             resolver that finds another part of it pending can ask
--       3     the maximum number of unsettled reservations of the client
--       4     how many new usage counts of unregistered clients a shard accepts per minute
--       5     the client's field in the shard
--       6, 7  the endpoint ("": an unregistered one) and the client, as they are counted
--       8...  kind, policy, amount and client ("": as before), for each count
--
-- Returns 1; 2 if the request was committed and could not be counted, because the counts are damaged
-- (parts/usage.lua); 0 if nothing was changed, because the entry is overdue or was refunded, or
-- because too many requests are remembered; 3 if nothing was changed, because the client has too many unsettled
-- reservations; 4 if nothing was changed, because another request has made this reservation. An overdue entry counts as
-- refunded: its caller has stopped waiting, and a resolver may be refunding it at this moment.
--
-- The set of remembered requests expires with the last of them.

-- include: clock
-- include: codes

local call, pack, unpack, ceil = redis.call, struct.pack, struct.unpack, math.ceil
local now = clock[1] * 1000000 + clock[2]
local entry, remembered_seconds = ARGV[1], ARGV[2]
local due = redis.call('ZSCORE', KEYS[4], entry)
if not due or tonumber(due) <= now then return 0 end
local remembered_since = now - remembered_seconds * 1000000
if redis.call('ZCOUNT', KEYS[6], remembered_since, '+inf') >= 100000 then return 0 end

local entry_content = redis.call('HGET', KEYS[5], entry)
if not entry_content or #entry_content <= 40 then return 0 end
local consumption, refundable_until = entry_content:byte(), unpack('>I8', entry_content, 12)
local id = entry_content:sub(24, 39)
local is_settleable = consumption == RESERVATION or consumption == REQUEST
-- include: sorted_set
for _, at in ipairs({6, 8, 9}) do remove_unless_sorted_set(KEYS[at]) end
if is_settleable and call('EXISTS', KEYS[7]) == 1 then return 4 end
if is_settleable and call('ZCOUNT', KEYS[8], now + 1, '+inf') >= tonumber(ARGV[3]) then return 3 end

local max_new_counts, minute = ARGV[4], math.floor(clock[1] / 60)

-- include: usage

local key_offset, client_field, endpoint, client, first_count = 0, ARGV[5], ARGV[6], ARGV[7], 8

-- include: count_request

if is_settleable then
  local record_key, open_keys, places_until = KEYS[7], {KEYS[8], KEYS[9]}, 0
  -- include: open_record
end

redis.call('HDEL', KEYS[5], entry)
redis.call('ZREM', KEYS[4], entry)
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', remembered_since)
redis.call('ZADD', KEYS[6], now, entry)
redis.call('EXPIRE', KEYS[6], remembered_seconds)
return damage == 'all' and 2 or 1
