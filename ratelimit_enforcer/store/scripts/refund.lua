-- Refunds what one part of a request consumed, because the request was not admitted; and counts the
-- request, if the caller asks for that.
--
-- KEYS  1, 2  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
--       3...  the counters of the entry, in its order; then the places of its concurrency limits
--       then, if the request is counted: the client's shard, its usage counts, and the number of new ones
-- ARGV  1     the entry
--       then, if the request is counted: 2 how many new usage counts of unregistered clients a shard
--       accepts per minute; 3 the client's field in the shard; 4, 5 the endpoint ("": an unregistered
--       one) and the client, as they are counted; 6... kind, policy, amount and client ("": as before), for each count
--
-- Returns 1; 2 if it was refunded and could not be counted, because the counts are damaged
-- (parts/usage.lua); 0 if the entry does not exist, because it was refunded or committed: then nothing
-- changes and nothing is counted. So it may be repeated.
--
-- Counter: see decide.lua.

-- include: clock
-- include: codes

local pack, unpack, floor = struct.pack, struct.unpack, math.floor
local now = clock[1] * 1000000 + clock[2]

local entry = ARGV[1]
local content = redis.call('HGET', KEYS[2], entry)
if not content then return 0 end
local content_at = 1
-- include: entry_read
-- include: refill_time
-- include: refunding

local new_counters, key_offset = {}, 2 + #counters
for index, consumed in ipairs(counters) do
  if consumed.key ~= KEYS[2 + index] then return redis.error_reply('ERR entry of other counters') end
  local counter = redis.call('GET', consumed.key)
  if counter then new_counters[index] = with_refund(counter, consumed, reserved_cost, reserved_cost) end
end
local places = {}
for _, consumed in ipairs(counters) do
  for _, limit in ipairs(consumed.limits) do
    if limit.algorithm == CONCURRENCY then
      key_offset = key_offset + 1
      places[#places + 1] = KEYS[key_offset]
    end
  end
end

local max_new_counts, minute = ARGV[2], floor(clock[1] / 60)

-- include: usage

local client_field, first_count = ARGV[3], 6
endpoint, client = ARGV[4], ARGV[5]

-- include: count_request

redis.call('HDEL', KEYS[2], entry)
redis.call('ZREM', KEYS[1], entry)
for index, counter in pairs(new_counters) do
  redis.call('SET', KEYS[2 + index], counter, 'KEEPTTL')
end
for _, key in ipairs(places) do redis.call('ZREM', key, entry:sub(1, 16)) end
return damage == 'all' and 2 or 1
