-- Writes client records of one bucket, each only where it is not older than the one there.
--
-- KEYS  1     the bucket: a hash with one field per client
-- ARGV  pairs of a client's field and its record, `<revision> <JSON>`
--
-- Returns how many were written. Records do not expire: they are rules, not counts.

local written = 0
for position = 1, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[1], ARGV[position])
  local revision = tonumber(string.match(ARGV[position + 1], '^%d+'))
  local its_revision = held and tonumber(string.match(held, '^%d+'))
  -- What is no record is none.
  if not its_revision or its_revision <= revision then
    redis.call('HSET', KEYS[1], ARGV[position], ARGV[position + 1])
    written = written + 1
  end
end
return written
