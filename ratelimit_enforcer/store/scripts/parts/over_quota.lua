-- SECTION: a calendar limit that admits a request beyond its quota (reads and sets: parts/fixed_window.lua)
-- Reads  token_time_rest: whether the policy counts the units over this limit; index
-- Sets   thresholds_reached: appends index, kind and units
new_states = new_states .. pack('>BI4I2I8I8I4', algorithm, window, 20, request_time, window_end,
  math.min(used + cost, MAX_USED))
limit_admits, needed_until = true, window_end
if token_time_rest == COUNTS_OVER_QUOTA then
  thresholds_reached = thresholds_reached or {}
  thresholds_reached[#thresholds_reached + 1] = {index, POLICY_OVER_QUOTA, math.min(cost, used + cost - quota)}
end
