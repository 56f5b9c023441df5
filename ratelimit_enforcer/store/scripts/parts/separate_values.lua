-- SECTION: a policy that counts values of attributes separately (reads and sets: decide.lua)
-- A value that has no counter yet gets one as long as fewer than max_values are new in this window.
local max_values, values_window
mode = mode - SEPARATE_VALUES
max_values, values_window, rules_at = unpack('>I4I4', rules, rules_at)
separate = separate + 1
local values_key = KEYS[key_offset + 3 + policies + separate]
if not counter and values_key ~= KEYS[key_offset + 3 + index] then
  local stored = try('GET', values_key)
  local before = type(stored) == 'string' and tonumber(stored)
  -- Damaged; this removes the key.
  if stored and not before then call('PEXPIRE', values_key, 0) end
  if before and before >= max_values then exhausted = index end
  new_values = new_values or {}
  new_values[index] = {key = values_key, before = before or 0, window = values_window}
end
