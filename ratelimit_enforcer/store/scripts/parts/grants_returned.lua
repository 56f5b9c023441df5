-- SECTION: returning what a request took from grants
-- Reads  now; count_over_quota
-- Sets   return_units
-- `limit`: a limit of a reservation, with the units that are to be returned to each of its grants. A grant that has ended
-- takes none, and none more than was consumed of it.
local function return_units(key_offset, record, consumed, limit)
  local grants, granted = limit.grants, 0
  -- include: grants_left
  for _, grant in ipairs(grants) do
    local units = math.min(grant.returned or 0, grant.net)
    if units > 0 and now < grant.ends_at then
      redis.call('HINCRBY', grants.key, grant.id .. 'r', units)
      count_over_quota(key_offset, record, 'G' .. grant.id, consumed.key, client, units)
    end
  end
end
