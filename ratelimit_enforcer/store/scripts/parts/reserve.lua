-- SECTION: what a reservation leaves in the store
-- Reads  is_settleable; what the parts below read
if is_settleable then
  local home_shard, record_key, open_keys = 0, KEYS[extra_keys], {KEYS[extra_keys + 1], KEYS[extra_keys + 2]}
  -- include: entry
  -- include: take_places
  -- include: open_record
end
