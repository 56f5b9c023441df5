-- SECTION: counts units over quota of a counter whose key is known, with its policy
-- Reads  count (parts/usage.lua); endpoint
-- Sets   count_over_quota
local function count_over_quota(key_offset, record, kind, key, client, amount)
  local sort, policy, owner = key:match('}:([nga]):([^:]+):?(.*)')
  if sort == 'a' then owner = owner:match(':(.*)') end
  -- After the client was moved, its counters have another name (domain/client.py).
  owner = owner:match('^[^\n]*')
  count(key_offset, record, kind, endpoint, policy, owner == '' and client or owner, amount)
end
