-- include: counter

-- SECTION: the limits of the policy
-- Reads  counter, counter_size, states_begin, cost; rules, from rules_at
-- Sets   mode; policy_admits: all limits admit the request
--        counter_needed_until: until when the state of any limit matters, after the request
--        bucket_waits_until: as waits_until (0: no bucket was converted)
--        new_states, readings, thresholds_reached, is_damaged, is_corrected, and corrections in counter
--        beginning, if a limit has no state
local mode, limits
mode, limits, rules_at = unpack('>BI2', rules, rules_at)
-- tree: level
if mode >= SEPARATE_VALUES then
  -- include: separate_values
end
local policy_admits, counter_needed_until, bucket_waits_until = true, 0, 0
-- marked: policy_begins
for _ = 1, limits do
  local algorithm, window, quota, token_time_or_period_end, token_time_rest, burst_time, burst_time_rest
  algorithm, window, quota, token_time_or_period_end, token_time_rest, burst_time, burst_time_rest, rules_at =
    unpack('>BI4I4I8I4I8I4', rules, rules_at)
  -- grants: grants_read
  local state_begin, state_end
  if counter then
    -- include: find_state
  end
  if not state_begin and algorithm ~= CONCURRENCY then beginning = nil end
  -- Each algorithm
  -- Reads  counter, counter_size, state_begin, state_end, cost, and the numbers of the limit
  -- Sets   limit_admits; used, capacity: before the request, in whole units of cost
  --        readings: appends that of the limit
  --        new_states: appends that of the limit, if it admits the request
  --        needed_until: until when that state matters
  --        is_damaged, is_corrected, and corrections in counter
  local limit_admits, needed_until, used, capacity = false, 0, 0, quota
  if algorithm == SLIDING_WINDOW then
    -- include: sliding_window
  elseif algorithm == TOKEN_BUCKET then
    -- include: token_bucket
  -- marked: concurrency
  else
    -- include: fixed_window
  end
  -- marked: limit
  -- reserve: available
  -- grants: grants_of_policy
  if not limit_admits then
    policy_admits = false
  else
    if needed_until > counter_needed_until then counter_needed_until = needed_until end
    if (used + cost) * 2 >= capacity and mode == ENFORCE and algorithm ~= CONCURRENCY then
      thresholds_reached = thresholds_reached or {}
      for _, threshold in ipairs({50, 80, 90, 100}) do
        if used * 100 < threshold * capacity and (used + cost) * 100 >= threshold * capacity then
          thresholds_reached[#thresholds_reached + 1] = {index, threshold}
        end
      end
    end
  end
end
