-- Settles a request: refunds what it consumed beyond its cost, or debits the excess, and frees its places.
--
-- KEYS  1     the record of the reservation
--       2     the unsettled reservations of the client
--       3     the unsettled reservations of the shard
--       4     the client's shard
--       5, 6  the usage counts of the shard, and the number of new ones in this minute
--       7     the unfinished settlements of the shard
--       8...  the counters of the record, in its order; then the places of its concurrency limits
-- ARGV  1     the record, as the caller has read it
--       2     the id of the reservation
--       3     the cost, 0 to 10^9 ("": what was reserved)
--       4     how many new usage counts of unregistered clients a shard accepts per minute
--       5...  the end of the present period of each calendar limit of the record, in microseconds (0: unknown)
--
-- Returns {cost, cost refunded, cost overdrawn}: the largest excess over an enforcing limit that the debit caused; or
-- nothing if the record has changed or has expired, or the time if one of the periods is over: then nothing changes.
--
-- The other parts of a request in parts are settled afterwards, with records of their own. Until then the settlement is
-- unfinished, and has their shards at the end of the record.
--
-- Counter: see decide.lua. A debit is bounded: a limit remembers at most 10^9 beyond the quota, and a bucket what is
-- refilled in 366 days.

-- include: clock
-- include: codes

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

local id, settled_cost = ARGV[2], tonumber(ARGV[3]) or reserved_cost
local refund = now < refundable_until and math.max(0, reserved_cost - settled_cost) or 0
local debit, overdrawn, period = math.max(0, settled_cost - reserved_cost), 0, 5
local writes = {}
for at = period, #ARGV do
  if debit > 0 and tonumber(ARGV[at]) > 0 and tonumber(ARGV[at]) <= now then return now end
end

for index, consumed in ipairs(counters) do
  if consumed.key ~= KEYS[7 + index] then return redis.error_reply('ERR reservation of other counters') end
  if refund > 0 then
    local counter = call('GET', consumed.key)
    if counter then
      writes[#writes + 1] = {consumed.key, with_refund(counter, consumed, reserved_cost, refund)}
    end
  elseif debit > 0 then
    -- include: debit
  end
end

-- SECTION: usage counts
local max_new_counts, minute = ARGV[4], floor(clock[1] / 60)
-- include: usage
-- include: settlement_kinds
local stored_record = redis.pcall('HMGET', KEYS[4], 'c:' .. client)
local client_record = not stored_record.err and stored_record[1]
local amounts = {[REFUNDED_COST] = refund, [DEBITED_COST] = debit, [OVERDRAWN_COST] = overdrawn}
if consumption == RESERVATION then amounts[SETTLEMENTS], amounts[SETTLED_COST] = 1, settled_cost end
if consumption == RESERVATION_PART then amounts = {} end
for kind, amount in pairs(amounts) do
  if amount > 0 then count(3, client_record, kind, endpoint, '', client, amount) end
end

for _, write in ipairs(writes) do
  if write[3] then call('SET', write[1], write[2], 'PX', write[3]) else call('SET', write[1], write[2], 'KEEPTTL') end
end
for _, consumed in ipairs(counters) do
  if consumed.places then call('ZREM', consumed.places, id) end
end
call('ZREM', KEYS[2], id)
call('ZREM', KEYS[3], id)
if parts ~= '' then
  call('ZADD', KEYS[7], now, id)
  call('EXPIRE', KEYS[7], RETENTION_US / 1000000)
end
local settled = pack('>BBI4I4I4I4', SETTLED, consumption, reserved_cost, settled_cost, refund, overdrawn) .. parts
call('SET', KEYS[1], settled, 'PX', RETENTION_US / 1000)
return {settled_cost, refund, overdrawn}
