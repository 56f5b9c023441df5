-- Writes client records of one shard, each unless the stored record is newer.
--
-- KEYS  1     the shard: a hash with one field per client
-- ARGV  pairs of a client's field and its record, `<revision> <JSON>`
--
-- Returns how many were written. Records do not expire: they are rules, not counts.

local written = 0
for at = 1, #ARGV, 2 do
  local client_field, record = ARGV[at], ARGV[at + 1]
  local stored_record = redis.call('HGET', KEYS[1], client_field)
  local revision = tonumber(string.match(record, '^%d+'))
  local stored_revision = stored_record and tonumber(string.match(stored_record, '^%d+'))
  -- An invalid record counts as missing.
  if not stored_revision or stored_revision <= revision then
    redis.call('HSET', KEYS[1], client_field, record)
    written = written + 1
  end
end
return written
