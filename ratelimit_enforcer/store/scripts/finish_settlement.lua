-- Ends a settlement whose other parts are settled, and counts what these have overdrawn, and refunded of the newest
-- usage, beyond the first.
--
-- KEYS  1     the record of the reservation
--       2     the unfinished settlements of the shard
--       3     the client's shard
--       4, 5  the usage counts of the shard, and the number of new ones in this minute
-- ARGV  1     the id of the reservation
--       2     the record, as the caller has read it
--       3     the record with the result of all parts
--       4     the cost overdrawn that is still to be counted
--       5     the cost refunded that is still to be counted
--       6     how many new usage counts of unregistered clients a shard accepts per minute
--       7, 8  the endpoint ("": an unregistered one) and the client, as they are counted
--
-- May be repeated: a record that is another one remains.

-- include: clock

redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return end
redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
if tonumber(ARGV[4]) == 0 and tonumber(ARGV[5]) == 0 then return end

local max_new_counts, minute = ARGV[6], math.floor(clock[1] / 60)
-- include: usage
-- include: settlement_kinds
local stored_record = redis.pcall('HMGET', KEYS[3], 'c:' .. ARGV[8])
local record = not stored_record.err and stored_record[1]
for kind, amount in pairs({[OVERDRAWN_COST] = tonumber(ARGV[4]), [REFUNDED_COST] = tonumber(ARGV[5])}) do
  if amount > 0 then count(2, record, kind, ARGV[7], '', ARGV[8], amount) end
end
