-- SECTION: writes and counts what a request takes from grants
-- Reads  grants_taken, index, record, endpoint, client_field, verb
if grants_taken and grants_taken[index] then
  local grants, minute, max_new_counts = grants_taken[index], floor(clock[1] / 60), ARGV[3]
  if verb == 'consume' then max_new_counts = unpack('>I4', ARGV[3], 29) end
  -- include: usage
  -- include: over_quota_counts
  for _, grant in ipairs(grants) do
    if grant.taken > 0 then
      call('HINCRBY', grants.key, grant.id .. 'c', grant.taken)
      local counter_key = KEYS[key_offset + 3 + index]
      count_over_quota(key_offset, record, 'g' .. grant.id, counter_key, client_field:sub(3), grant.taken)
    end
  end
end
