-- Notes what this part of a request consumes, so that it can be refunded until the request is committed.
-- Pending entries of a bucket: a sorted set, entry → when it is overdue, by this server's clock; and a
-- hash, entry → when it was consumed, cost, the number of the bucket where the request is committed, how
-- many policies there are, for each "1": it consumed the cost, or "0", the keys of their counters, and the
-- rules, packed as for decide.lua. Both expire two hours after the last entry: by then nobody refunds any
-- more. Beyond 4,096 entries, which nobody resolves, the oldest goes, and what it consumed stays consumed.
-- Leaves `overdue`. Types are checked by the first command for each key, before anything is written.
local due, pending = KEYS[keys + 4 + policies], KEYS[keys + 5 + policies]
local oldest = call('ZRANGE', due, 0, 0, 'WITHSCORES')
local overdue = oldest[2] and tonumber(oldest[2]) <= now and 1 or 0
if admitted then
  local entry, patience, home = unpack('>c18I8I2', ARGV[3])
  local consumed, names = '', ''
  for index = 1, policies do
    local key = KEYS[keys + 3 + index]
    consumed, names = consumed .. (after[index] and 1 or 0), names .. pack('>I2', #key) .. key
  end
  if call('ZCARD', due) >= 4096 then
    call('HDEL', pending, oldest[1])
    call('ZREM', due, oldest[1])
  end
  call('HSET', pending, entry, pack('>I8I4I2I2', now, cost, home, policies) .. consumed .. names .. rules)
  call('ZADD', due, now + patience, entry)
  call('EXPIRE', pending, 7200)
  call('EXPIRE', due, 7200)
end
