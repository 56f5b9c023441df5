-- Forgets counters of one client, and that pending requests consumed from them: nothing is refunded into
-- what begins after a reset.
--
-- KEYS  1     the bucket's pending entries: what each holds (parts/pending.lua)
--       2...  the counters
--
-- Returns how many counters there were.

local unpack = struct.unpack
local erased = {}
for index = 2, #KEYS do erased[KEYS[index]] = true end

-- The entry without what it consumed from these counters; nil where it is something else.
local function without(record)
  local _, _, _, policies, first = unpack('>I8I4I2I2', record)
  local consumed, key, at = {}, nil, first + policies
  for index = 1, policies do
    key, at = unpack('>I2c0', record, at)
    consumed[index] = erased[key] and '0' or record:sub(first + index - 1, first + index - 1)
  end
  return record:sub(1, first - 1) .. table.concat(consumed) .. record:sub(first + policies)
end

local pending = redis.call('HGETALL', KEYS[1])
for at = 1, #pending, 2 do
  local is_entry, after = pcall(without, pending[at + 1])
  if is_entry and after ~= pending[at + 1] then redis.call('HSET', KEYS[1], pending[at], after) end
end
local erased_now = 0
for index = 2, #KEYS do erased_now = erased_now + redis.call('UNLINK', KEYS[index]) end
return erased_now
