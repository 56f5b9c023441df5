-- Raises what is stored of the use of a client's grants to the figures of the ledger, and creates what is missing.
--
-- KEYS  1     the use of the client's grants: a hash with two fields per grant
-- ARGV  1     until when it is kept at least, in milliseconds since 1970
--       2...  pairs of a field and its figure
--
-- The figures only ever increase, and the store is ahead of the ledger by what is not drained yet. Returns how many
-- fields were written.

-- Anything else under this key is no state of grants.
local type_found = redis.call('TYPE', KEYS[1])['ok']
if type_found ~= 'hash' and type_found ~= 'none' then redis.call('DEL', KEYS[1]) end

local written = 0
for at = 2, #ARGV, 2 do
  local stored = tonumber(redis.call('HGET', KEYS[1], ARGV[at]) or nil)
  if not stored or stored < tonumber(ARGV[at + 1]) then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    written = written + 1
  end
end

local time, lasts = redis.call('TIME'), redis.call('PTTL', KEYS[1])
local expires_at = time[1] * 1000 + math.floor(time[2] / 1000) + lasts
if lasts < 0 or expires_at < tonumber(ARGV[1]) then redis.call('PEXPIREAT', KEYS[1], ARGV[1]) end
return written
