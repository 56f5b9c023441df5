-- Refunds what one part of a request consumed, because the request was not admitted; and counts the
-- request, if the caller asks for that.
--
-- KEYS  1, 2  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
--       3...  the counters that the request may have consumed from, the places of their concurrency limits, and what is
--             consumed of grants
--       then the client's shard, its usage counts, and the number of new ones
-- ARGV  1     the entry
--       2     how many new usage counts of unregistered clients a shard accepts per minute
--       then, if the request is counted: 3 the client's field in the shard; 4, 5 the endpoint ("": an unregistered
--       one) and the client, as they are counted; 6... kind, policy, amount and client ("": as before), for each count
--
-- Returns 1; 2 if it was refunded and could not be counted, because the counts are damaged
-- (parts/usage.lua); 0 if the entry does not exist, because it was refunded or committed: then nothing
-- changes and nothing is counted. So it may be repeated.
--
-- Counter: see decide.lua. A damaged one is left as it is: the next check removes it.

-- include: clock
-- include: codes
-- include: policy_kinds

local pack, unpack, floor = struct.pack, struct.unpack, math.floor
local now = clock[1] * 1000000 + clock[2]

local entry = ARGV[1]
local content = redis.call('HGET', KEYS[2], entry)
if not content then return 0 end
local content_at = 1
-- include: entry_read
-- include: refill_time
-- include: refunding
-- include: sorted_set

local declared, new_counters = {}, {}
for _, key in ipairs(KEYS) do declared[key] = true end
for index, consumed in ipairs(counters) do
  if not declared[consumed.key] then return redis.error_reply('ERR entry of other counters') end
  local counter = redis.pcall('GET', consumed.key)
  local is_readable, refunded = pcall(with_refund, counter, consumed, reserved_cost, reserved_cost)
  if counter and is_readable then new_counters[index] = refunded end
  if consumed.places then remove_unless_sorted_set(consumed.places) end
end

local key_offset = #KEYS - 3
local max_new_counts, minute = ARGV[2], floor(clock[1] / 60)

-- include: usage

-- include: over_quota_counts
-- include: grants_returned
for index, consumed in ipairs(counters) do
  for _, limit in ipairs(consumed.limits) do
    if limit.grants then
      -- The period may be over, or the counter reset.
      if not limit.is_refunded_to_grants then refund_to_grants(limit, reserved_cost, limit.over or 0) end
      return_units(key_offset, nil, consumed, limit)
    end
  end
  for _, limit in ipairs(new_counters[index] and consumed.limits or {}) do
    if limit.over_refunded and limit.over_refunded > 0 then
      count_over_quota(key_offset, nil, POLICY_OVER_QUOTA_RETURNED, consumed.key, client, limit.over_refunded)
    end
  end
end

local client_field, first_count = ARGV[3], 6
endpoint, client = ARGV[4], ARGV[5]

-- include: count_request

redis.call('HDEL', KEYS[2], entry)
redis.call('ZREM', KEYS[1], entry)
for index, consumed in ipairs(counters) do
  if new_counters[index] then redis.call('SET', consumed.key, new_counters[index], 'KEEPTTL') end
  if consumed.places then redis.call('ZREM', consumed.places, id) end
end
return damage == 'all' and 2 or 1
