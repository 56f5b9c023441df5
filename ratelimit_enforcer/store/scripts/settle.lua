-- Settles a request: refunds what it consumed beyond its cost, or debits the excess, and frees its places. Of a charge,
-- may refund the newest usage instead.
--
-- KEYS  1     the record of the reservation
--       2     the unsettled reservations of the client
--       3     the unsettled reservations of the shard
--       4     the client's shard
--       5, 6  the usage counts of the shard, and the number of new ones in this minute
--       7     the unfinished settlements of the shard
--       8...  the counters of the record, in its order; then the places of its concurrency limits, and what is consumed
--             of its grants
-- ARGV  1     the record, as the caller has read it
--       2     the cost, 0 to 10^9 ("": what was reserved); for a charge also below 0: how much of the newest usage of its
--             counters is refunded, whichever requests consumed it. The record then has that as the reserved cost
--       3     how many new usage counts of unregistered clients a shard accepts per minute
--       4     "1": refund, "0": do not refund ("": if this is still refundable). The first part of a request in parts
--             decides for the others
--       5     for how many seconds the result of a charge is stored
--       6...  the end of the present period of each calendar limit of the record, in microseconds (0: unknown)
--
-- Returns {cost, cost refunded, cost overdrawn}: the largest excess over an enforcing limit that the debit caused; or
-- nothing if the record has changed or has expired, or the time if one of the periods is over: then nothing changes.
--
-- The other parts of a request in parts are settled afterwards, with records of their own. Until then the settlement is
-- unfinished, and the record names them.
--
-- Counter: see decide.lua. A debit is bounded: a limit remembers at most 10^9 beyond the quota, and a bucket what is
-- refilled in 366 days. Everything is read and checked before the first write, because a script that fails is not
-- rolled back. A damaged counter is left as it is: the next check removes it.

-- include: clock
-- include: codes
-- include: policy_kinds

local call, try, type, pack, unpack = redis.call, redis.pcall, type, struct.pack, struct.unpack
local floor, ceil = math.floor, math.ceil
local EXPIRY_CODE, EXPIRY, EXPIRY_SIZE = 0, '>BI4I2I8', 15
local READING, MAX_DEBT, MAX_DEBT_US = '>Bi8i8i8i8', 1000000000, 31622400000000
local now = clock[1] * 1000000 + clock[2]

local content, content_at = call('GET', KEYS[1]), 2
if content ~= ARGV[1] then return false end
-- include: entry_read
-- include: refill_time
-- include: refunding
-- include: refunding_newest

local settled_cost, is_refundable = tonumber(ARGV[2]) or reserved_cost, now < refundable_until
if ARGV[4] ~= '' then is_refundable = ARGV[4] == '1' end
local newest = math.max(0, -settled_cost)
if newest > 0 then reserved_cost, settled_cost, is_refundable = newest, 0, false end
local refund = is_refundable and math.max(0, reserved_cost - settled_cost) or 0
local debit, overdrawn, writes, newest_refund = math.max(0, settled_cost - reserved_cost), 0, {}, 0

local period = 6
for index, consumed in ipairs(counters) do
  if consumed.key ~= KEYS[7 + index] then return redis.error_reply('ERR reservation of other counters') end
  for _, limit in ipairs(consumed.limits) do
    if limit.algorithm == CALENDAR then
      limit.period_end, period = tonumber(ARGV[period]), period + 1
      if debit > 0 and limit.period_end > 0 and limit.period_end <= now then return now end
    end
  end
end

for index, consumed in ipairs(counters) do
  if newest > 0 then
    local counter = try('GET', consumed.key)
    local is_readable, refunded, cost = pcall(with_newest_refund, counter, consumed, newest)
    consumed.is_refunded = counter and is_readable
    if consumed.is_refunded then
      writes[#writes + 1] = {consumed.key, refunded}
      newest_refund = math.max(newest_refund, cost)
    end
  elseif refund > 0 then
    local counter = try('GET', consumed.key)
    local is_readable, refunded = pcall(with_refund, counter, consumed, reserved_cost, refund)
    consumed.is_refunded = counter and is_readable
    if consumed.is_refunded then writes[#writes + 1] = {consumed.key, refunded} end
  elseif debit > 0 then
    pcall(function()
      -- include: debit
    end)
  end
end

if newest > 0 then refund = newest_refund end

-- include: sorted_set
for _, at in ipairs({2, 3, 7}) do remove_unless_sorted_set(KEYS[at]) end
for _, consumed in ipairs(counters) do
  if consumed.places then remove_unless_sorted_set(consumed.places) end
end

-- SECTION: the result, and the counters
local retention = RETENTION_US / 1000
if consumption == REQUEST then retention = math.max(60000, ceil((refundable_until - now) / 1000)) end
if consumption == CHARGE then retention = ARGV[5] * 1000 end
local settled = pack('>BBI4I4I4I4', SETTLED, consumption, reserved_cost, settled_cost, refund, overdrawn)
if parts ~= '' then
  settled = settled .. pack('>I2', #parts) .. parts .. pack('>B', #endpoint) .. endpoint .. client
  call('ZADD', KEYS[7], now, id)
  call('EXPIRE', KEYS[7], RETENTION_US / 1000000)
end
call('SET', KEYS[1], settled, 'PX', retention)
for _, write in ipairs(writes) do
  if write[3] then call('SET', write[1], write[2], 'PX', write[3]) else call('SET', write[1], write[2], 'KEEPTTL') end
end
for _, consumed in ipairs(counters) do
  if consumed.places then call('ZREM', consumed.places, id) end
end
call('ZREM', KEYS[2], id)
call('ZREM', KEYS[3], id)

-- SECTION: usage counts
local max_new_counts, minute = ARGV[3], floor(clock[1] / 60)
-- include: usage
-- include: settlement_kinds
local stored_record = try('HMGET', KEYS[4], 'c:' .. client)
local client_record = not stored_record.err and stored_record[1]
local amounts = {[REFUNDED_COST] = refund, [DEBITED_COST] = debit, [OVERDRAWN_COST] = overdrawn}
if consumption == RESERVATION then amounts[SETTLEMENTS], amounts[SETTLED_COST] = 1, settled_cost end
if consumption == RESERVATION_PART or consumption == CHARGE_PART then amounts = {} end
for kind, amount in pairs(amounts) do
  if amount > 0 then count(3, client_record, kind, endpoint, '', client, amount) end
end
-- include: over_quota_counts
-- include: grants_returned
for _, consumed in ipairs(counters) do
  for _, limit in ipairs(consumed.limits) do
    if limit.grants and refund > 0 and newest == 0 and not limit.is_refunded_to_grants then
      -- The period is over, or the counter was reset.
      refund_to_grants(limit, refund, limit.over or 0)
    end
    if limit.is_refunded_to_grants then return_units(3, client_record, consumed, limit) end
  end
  for _, grant in ipairs(consumed.debited_grants or {}) do
    if grant.taken > 0 then
      call('HINCRBY', consumed.debited_grants.key, grant.id .. 'c', grant.taken)
      count_over_quota(3, client_record, 'g' .. grant.id, consumed.key, client, grant.taken)
    end
  end
  for _, limit in ipairs(consumed.is_refunded and consumed.limits or {}) do
    if limit.over_refunded and limit.over_refunded > 0 then
      count_over_quota(3, client_record, POLICY_OVER_QUOTA_RETURNED, consumed.key, client, limit.over_refunded)
    end
  end
  if consumed.over_debited and consumed.over_debited > 0 then
    count_over_quota(3, client_record, POLICY_OVER_QUOTA, consumed.key, client, consumed.over_debited)
  end
end
return {settled_cost, refund, overdrawn}
