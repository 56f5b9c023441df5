-- Removes counters of one client, and cost that pending requests consumed from them: nothing is refunded into
-- the counters after a reset.
--
-- KEYS  1     the shard's pending entries: their format is in parts/pending.lua
--       2...  the counters
--
-- Returns how many counters existed.

local unpack = struct.unpack
local is_erased = {}
for index = 2, #KEYS do is_erased[KEYS[index]] = true end

-- Returns the content of an entry without the cost consumed from these counters. Fails if it is damaged.
local function without_erased(content)
  local _, _, _, policies, consumed_begin = unpack('>I8I4I2I2', content)
  local consumed_end, consumed, key = consumed_begin + policies, {}, nil
  local at = consumed_end
  for index = 1, policies do
    key, at = unpack('>I2c0', content, at)
    local flag_at = consumed_begin + index - 1
    consumed[index] = is_erased[key] and '0' or content:sub(flag_at, flag_at)
  end
  return content:sub(1, consumed_begin - 1) .. table.concat(consumed) .. content:sub(consumed_end)
end

local entries = redis.call('HGETALL', KEYS[1])
for at = 1, #entries, 2 do
  local entry, content = entries[at], entries[at + 1]
  local is_valid, new_content = pcall(without_erased, content)
  if is_valid and new_content ~= content then redis.call('HSET', KEYS[1], entry, new_content) end
end
local removed = 0
for index = 2, #KEYS do removed = removed + redis.call('UNLINK', KEYS[index]) end
return removed
