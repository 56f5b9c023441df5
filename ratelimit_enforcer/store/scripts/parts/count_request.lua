-- SECTION: counts a request that was decided earlier
-- Reads  key_offset; client_field (nil: the request is not counted), endpoint, client; ARGV from first_count: kind,
--        policy, amount and client ("": that of the request), for each count; count (parts/usage.lua)
local record = client_field and redis.pcall('HGET', KEYS[key_offset + 1], client_field)
if type(record) ~= 'string' then record = nil end
for at = first_count, #ARGV, 4 do
  local kind, policy, amount, subject = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  count(key_offset, record, kind, endpoint, policy, subject == '' and client or subject, amount)
end
