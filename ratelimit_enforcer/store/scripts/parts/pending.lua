-- SECTION: records what this part of a request consumes, so that it can be refunded until the request is committed
-- Reads  admitted, thresholds_reached; what the parts below read
-- Sets   overdue: whether entries of the shard are overdue (1 or 0)
--
-- Pending entries of a shard: a sorted set, entry → when it is overdue, by this server's clock; and a hash, entry → its
-- content (parts/entry.lua). Both expire two hours after the last entry: no refund happens after that. Beyond 4,096
-- unresolved entries, the oldest is dropped without a refund.
-- Types are checked by the first command for each key, before anything is written.
local due_key, pending_key = KEYS[extra_keys - 2], KEYS[extra_keys - 1]
local oldest = call('ZRANGE', due_key, 0, 0, 'WITHSCORES')
local overdue = oldest[2] and tonumber(oldest[2]) <= now and 1 or 0
if admitted then
  local entry, timeout, home_shard = unpack('>c18I8I2', ARGV[3])
  if thresholds_reached then
    -- include: count_consumed
  end
  -- include: entry
  -- include: take_places
  if call('ZCARD', due_key) >= 4096 then
    call('HDEL', pending_key, oldest[1])
    call('ZREM', due_key, oldest[1])
  end
  call('HSET', pending_key, entry, entry_content)
  call('ZADD', due_key, now + timeout, entry)
  call('EXPIRE', pending_key, 7200)
  call('EXPIRE', due_key, 7200)
end
