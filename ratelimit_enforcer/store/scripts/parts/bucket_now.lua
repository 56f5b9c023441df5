-- SECTION: a token bucket at the present time
-- Reads  counter, counter_size, state_begin, state_end, window, quota
-- Sets   until_full, until_full_rest; last_request; tracked_until (0: no reservation may be refunded), reserved, minima
--        bucket_waits_until, is_damaged, is_corrected, and corrections in counter
local BARE_SIZE, TRACKED_SIZE, MINIMUM, MINIMUM_SIZE = 24, 40, '>I4I8I4', 16
local UNBOUNDED, LONGEST = 140737488355328, 63244800000000
local last_request, tracked_until, reserved, minima = now, 0, 0, ''
local state_size = state_begin and state_end - state_begin
if state_begin and (state_end > counter_size + 1 or state_size ~= BARE_SIZE
    and (state_size <= TRACKED_SIZE or (state_size - TRACKED_SIZE) % MINIMUM_SIZE ~= 0)) then
  state_begin, is_damaged = nil, true
end
local state_quota
if state_begin then
  last_request, until_full, until_full_rest, state_quota = unpack('>I8I8I4I4', counter, state_begin)
  if until_full > LONGEST or state_quota == 0 or state_quota > 1000000000 then
    state_begin, is_damaged, last_request, until_full, until_full_rest = nil, true, now, 0, 0
  end
end
if state_begin then
  if state_size > BARE_SIZE then
    tracked_until, reserved = unpack('>I8I8', counter, state_begin + BARE_SIZE)
    if tracked_until > now then minima = counter:sub(state_begin + TRACKED_SIZE, state_end - 1) end
    if tracked_until <= now then tracked_until, reserved = 0, 0 end
  end
  if last_request > now and last_request - now > (window < 64 and window * 15625 or 1000000) then
    -- The clock was ahead. Requests that it recorded in the future happened now at the latest.
    last_request, is_corrected = now, true
    counter = counter:sub(1, state_begin - 1) .. pack('>I8', now) .. counter:sub(state_begin + 8)
  end
  if state_quota ~= quota then
    until_full = ceil(until_full * state_quota / quota + until_full_rest / quota)
    until_full, until_full_rest = math.min(until_full, LONGEST), 0
    local full_at = last_request + until_full
    if full_at > bucket_waits_until then bucket_waits_until = full_at end
    local converted = ''
    for at = 1, #minima, MINIMUM_SIZE do
      local label, least, least_rest = unpack(MINIMUM, minima, at)
      if least < UNBOUNDED then
        -- Rounded down, so that no refund is too large.
        least, least_rest = math.min(floor(least * state_quota / quota + least_rest / quota), LONGEST), 0
      end
      converted = converted .. pack(MINIMUM, label, least, least_rest)
    end
    minima = converted
  end
  -- A clock slightly behind the state must not make the bucket full earlier.
  until_full = until_full - (now - last_request)
  if until_full < 0 then until_full, until_full_rest = 0, 0 end
end
