-- Reads the record of a client and those of its ancestors.
--
-- KEYS  1     a shard: a hash with one field per client
-- ARGV  1     the client's field
--
-- Returns the records from the client up, as far as they are in this shard. The last one is missing (false), damaged, a
-- tombstone, a pointer to another shard, or that of the root. Writes nothing.

local records, field = {}, ARGV[1]
while field and #records < 4 do
  local found = redis.pcall('HMGET', KEYS[1], field)
  if found.err and not found.err:find('WRONGTYPE', 1, true) then return found end
  local record = found[1]
  records[#records + 1] = record or false
  local is_valid, content = pcall(cjson.decode, record and record:match('{.*') or '')
  local parent = is_valid and type(content) == 'table' and content.parent
  field = type(parent) == 'string' and 'c:' .. parent
end
return records
