-- SECTION: a token bucket (reads and sets: decide.lua; also sets bucket_waits_until, if the quota has
-- changed since the state was written)
-- State: time, time until full (whole, rest), the quota for which these were computed.
-- Figures: time until full (whole, rest), 0, 0.
local until_full, until_full_rest = 0, 0
if quota > 0 then
  local token_time = token_time_or_period_end
  if state_begin and (state_end > counter_size + 1 or state_end - state_begin ~= 24) then
    state_begin, is_damaged = nil, true
  end
  if state_begin then
    local last_request, state_quota
    last_request, until_full, until_full_rest, state_quota = unpack('>I8I8I4I4', counter, state_begin)
    if last_request > now and last_request - now > (window < 64 and window * 15625 or 1000000) then
      -- The clock was ahead. Requests that it recorded in the future happened now at the latest.
      last_request, is_corrected = now, true
      counter = counter:sub(1, state_begin - 1) .. pack('>I8', now) .. counter:sub(state_begin + 8)
    end
    if state_quota ~= quota then
      until_full, until_full_rest = ceil(until_full * state_quota / quota + until_full_rest / quota), 0
      -- No limit takes longer than 366 days to refill.
      local full_at = last_request + math.min(until_full, 31622400000000)
      if full_at > bucket_waits_until then bucket_waits_until = full_at end
    end
    if until_full > burst_time or (until_full == burst_time and until_full_rest > burst_time_rest) then
      until_full, until_full_rest = burst_time, burst_time_rest
    end
    -- A clock slightly behind the state must not make the bucket full earlier.
    until_full = until_full - (now - last_request)
    if until_full < 0 then until_full, until_full_rest = 0, 0 end
  end
  local new_rest = until_full_rest + cost * token_time_rest
  local new_until_full = until_full + cost * token_time + floor(new_rest / quota)
  new_rest = new_rest % quota
  if new_until_full < burst_time or (new_until_full == burst_time and new_rest <= burst_time_rest) then
    new_states = new_states .. pack('>BI4I2I8I8I4I4', TOKEN_BUCKET, window, 24, now, new_until_full, new_rest, quota)
    limit_admits, needed_until = true, now + new_until_full + 1
    -- In whole tokens, as a caller sees them: the remainder is rounded down.
    local exact_token_time = token_time + token_time_rest / quota
    used = ceil((until_full + until_full_rest / quota) / exact_token_time - 1e-4)
    capacity = floor((burst_time + burst_time_rest / quota) / exact_token_time + 0.5)
  end
end
readings = readings .. pack(READING, limit_admits and 1 or 0, until_full, until_full_rest, 0, 0)
