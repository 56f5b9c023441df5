  -- SECTION: the counters
  -- Reads  policies, cost; rules, from rules_at
  -- Sets   admitted: no policy in enforce mode denies the request
  --        readings: of all limits, packed
  --        rules_at: where the slugs begin
  --        new_counters[index]: the counter after the request (nil: the policy does not admit it)
  --        These are nil unless needed, and then have an entry for the policies concerned only:
  --        new_expiries[index]: the counter's expiry, if it changes
  --        denying_modes[index]: the mode of a policy that does not admit the request
  --        waits_until[index]: the end of the waits of a token bucket that was converted to another quota
  --        corrected_counters[index]: the counter with times of a wrong clock set to now
  --        thresholds_reached: pairs of index and quota threshold (percent) that the request reaches if it is
  --        admitted; also index, kind and number of the units that it consumes over quota
  --        damaged_counters: a list of indexes
  -- Why    a table with room for four policies is allocated once; the others are rarely needed
  local admitted, readings, new_counters = true, '', {nil, nil, nil, nil}
  --        separate: how many policies count values of attributes separately; new_values[index]: the key that counts
  --        the new values of such a policy, their number before and the window in seconds, if these values have no
  --        counter yet; exhausted: the policy that counts no further value separately
  local separate, new_values, exhausted = 0, nil, nil
  -- grants: grants_begin
  local new_expiries, denying_modes, waits_until, corrected_counters, thresholds_reached, damaged_counters
  -- reserve: amount
  for index = 1, policies do
    -- include: policy
    if exhausted then break end

    -- SECTION: the counter after the request
    -- Reads  what the two sections before have set
    -- Sets   admitted, new_counters, and the tables that are nil unless needed
    if is_damaged then
      damaged_counters = damaged_counters or {}
      damaged_counters[#damaged_counters + 1] = index
    elseif is_corrected then
      corrected_counters = corrected_counters or {}
      corrected_counters[index] = counter
    end
    if not policy_admits then
      admitted = admitted and mode == SHADOW
      denying_modes = denying_modes or {}
      denying_modes[index] = mode
    elseif beginning and counter_needed_until <= expiry
        and expiry - counter_needed_until <= (counter_needed_until - now) / 8 then
      new_counters[index] = new_states
    else
      local new_expiry = counter_needed_until + floor((counter_needed_until - now) / 8)
      -- A counter begins when one of its limits does; two beginnings within 71 minutes differ.
      beginning = beginning or now % 4294967296
      new_counters[index] = pack(EXPIRY, EXPIRY_CODE, beginning, 8, new_expiry) .. new_states:sub(states_begin)
      new_expiries = new_expiries or {}
      new_expiries[index] = new_expiry
    end
    if bucket_waits_until > 0 then
      waits_until = waits_until or {}
      waits_until[index] = bucket_waits_until
    end
    -- marked: policy_ends
  end

  if exhausted then
    replies[#replies + 1] = {VALUES_EXHAUSTED, exhausted - 1}
    break
  end

  -- SECTION: damaged counters
  -- Reads  damaged_counters. If there are any, removes them and ends the call.
  if damaged_counters then
    -- This removes the keys.
    for _, index in ipairs(damaged_counters) do call('PEXPIRE', KEYS[key_offset + 3 + index], 0) end
    replies[#replies + 1] = {DAMAGED, 'counter'}
    break
  end
