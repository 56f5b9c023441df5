-- SECTION: counts the units over quota that a part consumes; a refund of this part counts them as returned
-- Reads  thresholds_reached, new_counters, record, endpoint, client_field
local minute, max_new_counts = floor(clock[1] / 60), unpack('>I4', ARGV[3], 29)
-- include: usage
-- include: over_quota_counts
for _, reached in ipairs(thresholds_reached) do
  if reached[3] and new_counters[reached[1]] then
    count_over_quota(key_offset, record, reached[2], KEYS[key_offset + 3 + reached[1]], client_field:sub(3), reached[3])
  end
end
