-- SECTION: a function for keys of sorted sets
-- Sets   remove_unless_sorted_set
-- Other programs may have written another type there. That is removed before anything is written, because a script that
-- fails is not rolled back.
local function remove_unless_sorted_set(key)
  local stored_type = redis.call('TYPE', key).ok
  if stored_type ~= 'zset' and stored_type ~= 'none' then redis.call('PEXPIRE', key, 0) end
end
