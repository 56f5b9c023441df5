    local key = KEYS[key_offset + 3 + index]
    local values = new_values and new_values[index]
    if admitted and new_counters[index] and verb ~= 'look' then
      if new_expiries and new_expiries[index] then
        -- include: lifetime
        call('SET', key, new_counters[index], 'PX', lifetime)
      else
        call('SET', key, new_counters[index], 'KEEPTTL')
      end
      -- include: count_value
      -- grants: grants_written
    else
      -- reserve: count_charged_value
      local corrected = corrected_counters and corrected_counters[index]
      if corrected then call('SET', key, corrected, 'KEEPTTL') end
      if waits_until and waits_until[index] and now + call('PTTL', key) * 1000 < waits_until[index] then
        -- The counter must last as long as the waits computed with the new quota.
        call('PEXPIRE', key, ceil((waits_until[index] - now) / 1000) + 1)
      end
    end
