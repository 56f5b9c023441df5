-- SECTION: what a request takes from grants: what the own quota does not cover
-- Reads  grants, granted, own_quota, used, cost
-- Sets   granted_taken, taken of each grant; cost: the rest of it, in this block only
local cost = cost
if granted > 0 and used + cost > own_quota then
  local sort = redis.call('TYPE', grants.counts_key).ok
  -- What could not be counted would be admitted again after the store is emptied.
  if sort ~= 'hash' and sort ~= 'none' then granted = 0 end
  granted_taken = math.min(granted, cost - math.max(0, own_quota - used))
  cost = cost - granted_taken
  local rest = granted_taken
  for _, grant in ipairs(grants) do
    grant.taken = math.min(rest, grant.left)
    rest = rest - grant.taken
  end
end
