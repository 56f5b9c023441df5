-- SECTION: what a reservation leaves in the store
-- Reads  is_settleable; what the parts below read
if is_settleable then
  local home_shard, record_key, open_keys = 0, KEYS[extra_keys], {KEYS[extra_keys + 1], KEYS[extra_keys + 2]}
  local places_until = 0
  for _, place in ipairs(taken) do places_until = math.max(places_until, place[2]) end
  -- include: entry
  -- include: take_places
  -- include: open_record
end
