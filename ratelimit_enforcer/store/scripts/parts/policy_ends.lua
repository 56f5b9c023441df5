-- SECTION: what a settlement needs to know about a counter
-- Reads  policy_admits, charges, mode, beginning, limits_consumed, place_until
-- Sets   consumed: appends mode, beginning, key, number of limits, and the limits; counters_consumed; taken
if policy_admits or charges then
  local key = KEYS[key_offset + 3 + index]
  consumed = consumed .. pack('>BI4I2', mode, beginning or 0, #key) .. key
    .. pack('>I2', #limits_consumed / 21) .. limits_consumed
  counters_consumed = counters_consumed + 1
  if place_until and not charges then taken[#taken + 1] = {KEYS[extra_keys + 2 + next_place], place_until} end
end
