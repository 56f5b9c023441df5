-- SECTION: the sorted sets of a request whose cost may be settled
-- Reads  extra_keys, rules
-- Other programs may have written other types there: these are removed before anything is written, because a script
-- that fails is not rolled back.
local function remove_unless_sorted_set(key)
  local stored_type = call('TYPE', key).ok
  if stored_type ~= 'zset' and stored_type ~= 'none' then call('PEXPIRE', key, 0) end
end
for at = extra_keys + 1, extra_keys + 2 do remove_unless_sorted_set(KEYS[at]) end
