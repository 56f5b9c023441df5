-- Ends pending entries of one shard whose requests are committed; the cost that they consumed is final, unless they are
-- parts of a reservation: then they become records, which can be settled.
--
-- KEYS  1, 2  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
--       3...  for each entry the record that it may become
-- ARGV  the entries
--
-- Returns how many were still pending. May be repeated.

-- include: clock
-- include: codes

local now = clock[1] * 1000000 + clock[2]
for index, content in ipairs(redis.call('HMGET', KEYS[2], unpack(ARGV))) do
  if content and #content > 20 and content:byte() == RESERVATION_PART then
    local refundable_until = struct.unpack('>I8', content, 12)
    local lifetime = math.ceil((refundable_until + RETENTION_US - now) / 1000)
    redis.call('SET', KEYS[2 + index], struct.pack('>B', OPEN) .. content, 'PX', math.max(lifetime, 1))
  end
end
redis.call('HDEL', KEYS[2], unpack(ARGV))
return redis.call('ZREM', KEYS[1], unpack(ARGV))
