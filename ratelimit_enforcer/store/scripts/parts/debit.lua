-- SECTION: debits the excess from one counter, whatever its limits
-- Reads  index, consumed, debit, consumption
-- Sets   writes, overdrawn; consumed.over_debited: the units over quota, if the policy counts them;
--        consumed.debited_grants: grants with what is taken from each, if anything is
local key_offset, token_time_rest, thresholds_reached = 4, 0, nil
-- include: counter
local counter_needed_until, bucket_waits_until, readings, debited, excess, over_debited = 0, 0, '', {}, 0, 0
local debited_grants
for _, limit in ipairs(consumed.limits) do
  local algorithm, window, quota, token_time_or_period_end = limit.algorithm, limit.window, limit.quota, 0
  local state_begin, state_end
  if counter then
    -- include: find_state
  end
  if algorithm == CALENDAR then token_time_or_period_end = limit.period_end end
  local limit_admits, needed_until, used, cost = false, 0, 0, debit
  -- A limit without a state in an existing counter was removed since the reservation. A charge is for present limits.
  local is_removed = counter and not state_begin and not (consumption == CHARGE or consumption == CHARGE_PART)
  if not state_begin and not is_removed and algorithm ~= CONCURRENCY then beginning = nil end
  if is_removed then
    cost = 0
  elseif algorithm == TOKEN_BUCKET and quota > 0 then
    -- include: debit_bucket
  elseif algorithm ~= TOKEN_BUCKET and algorithm ~= CONCURRENCY
      and (algorithm ~= CALENDAR or token_time_or_period_end > 0) then
    -- Admitted up to the largest debt: if the cost exceeds that, what is left of it.
    local grants, granted, granted_taken, own_quota = limit.grants, 0, 0, quota
    if grants then
      grants.counts_key = KEYS[5]
      -- include: grants_left
    end
    quota = limit.beyond and MAX_USED or quota + MAX_DEBT
    for _ = 1, 2 do
      granted_taken = 0
      if algorithm == SLIDING_WINDOW then
        -- include: sliding_window
      else
        -- include: fixed_window
      end
      if limit_admits or used >= quota + granted then break end
      cost = quota - used + granted
    end
    if grants and limit_admits and granted_taken > 0 then debited_grants = grants end
    if not limit.beyond then
      excess = math.max(excess, used + (limit_admits and cost - granted_taken or 0) - limit.quota)
    elseif limit.beyond == COUNTS_OVER_QUOTA then
      -- Also beyond the largest usage that the counter can have.
      local own_debit = debit - granted_taken
      over_debited = math.max(0, math.min(own_debit, used + own_debit - limit.quota))
    end
  end
  if limit_admits then
    debited[algorithm .. ':' .. window] = true
    counter_needed_until = math.max(counter_needed_until, needed_until)
  end
end
if consumed.mode == ENFORCE then overdrawn = math.max(overdrawn, math.min(excess, debit)) end
if not is_damaged then consumed.over_debited, consumed.debited_grants = over_debited, debited_grants end
if not is_damaged and next(debited) then
  -- States of limits that the reservation did not consume from.
  local at = states_begin
  while at + 6 <= counter_size do
    local algorithm, window, length, following = unpack('>BI4I2', counter, at)
    if not debited[algorithm .. ':' .. window] then
      new_states = new_states .. counter:sub(at, following + length - 1)
    end
    at = following + length
  end
  if beginning and counter_needed_until <= expiry then
    writes[#writes + 1] = {consumed.key, new_states}
  else
    local new_expiries = {[index] = math.max(expiry, counter_needed_until + floor((counter_needed_until - now) / 8))}
    -- include: lifetime
    new_states = pack(EXPIRY, EXPIRY_CODE, beginning or now % 4294967296, 8, new_expiries[index])
      .. new_states:sub(states_begin)
    writes[#writes + 1] = {consumed.key, new_states, lifetime}
  end
end
