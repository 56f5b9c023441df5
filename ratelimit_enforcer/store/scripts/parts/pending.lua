-- SECTION: records what this part of a request consumes, so that it can be refunded until the request is committed
-- Reads  admitted, cost, policies, new_counters, rules
-- Sets   overdue: whether entries of the shard are overdue (1 or 0)
--
-- Pending entries of a shard: a sorted set, entry → when it is overdue, by this server's clock; and a
-- hash, entry → when it was consumed, cost, number of the shard where the request is committed, number
-- of policies, for each of them "1" (it consumed the cost) or "0", the keys of their counters, and the
-- rules, packed as for decide.lua. Both expire two hours after the last entry: no refund happens after
-- that. Beyond 4,096 unresolved entries, the oldest is dropped without a refund.
-- Types are checked by the first command for each key, before anything is written.
local due_key, pending_key = KEYS[key_offset + 4 + policies + separate], KEYS[key_offset + 5 + policies + separate]
local oldest = call('ZRANGE', due_key, 0, 0, 'WITHSCORES')
local overdue = oldest[2] and tonumber(oldest[2]) <= now and 1 or 0
if admitted then
  local entry, timeout, home_shard = unpack('>c18I8I2', ARGV[3])
  local consumed, counter_keys = '', ''
  for index = 1, policies do
    local key = KEYS[key_offset + 3 + index]
    consumed, counter_keys = consumed .. (new_counters[index] and 1 or 0), counter_keys .. pack('>I2', #key) .. key
  end
  if call('ZCARD', due_key) >= 4096 then
    call('HDEL', pending_key, oldest[1])
    call('ZREM', due_key, oldest[1])
  end
  local content = pack('>I8I4I2I2', now, cost, home_shard, policies) .. consumed .. counter_keys .. rules
  call('HSET', pending_key, entry, content)
  call('ZADD', due_key, now + timeout, entry)
  call('EXPIRE', pending_key, 7200)
  call('EXPIRE', due_key, 7200)
end
