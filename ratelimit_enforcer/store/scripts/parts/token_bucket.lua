-- SECTION: a token bucket (reads and sets: decide.lua; also sets bucket_waits_until, if the quota has
-- changed since the state was written)
-- State: time, time until full (whole, rest), the quota for which these were computed; as long as a reservation may be
-- refunded also: until when, the total cost of the reservations since the first, and minima.
-- Minimum: the least time until full (whole, rest) after the reservations with a label and before the end of the
-- next, at the moments when it is least: just before a request consumes. Labels and minima increase.
-- Figures: time until full (whole, rest), 0, 0.
local until_full, until_full_rest = 0, 0
-- reserve: no_bucket_room
if quota > 0 then
  local token_time = token_time_or_period_end
  -- include: bucket_now
  local new_rest = until_full_rest + cost * token_time_rest
  local new_until_full = until_full + cost * token_time + floor(new_rest / quota)
  new_rest = new_rest % quota
  -- reserve: bucket_room
  if new_until_full < burst_time or (new_until_full == burst_time and new_rest <= burst_time_rest) then
    local tracked = ''
    -- include: minima
    -- marked: track
    if tracked_until > now then tracked = pack('>I8I8', tracked_until, reserved) .. minima end
    new_states = new_states .. pack('>BI4I2I8I8I4I4', TOKEN_BUCKET, window, 24 + #tracked, now, new_until_full,
      new_rest, quota) .. tracked
    limit_admits, needed_until = true, now + new_until_full + 1
    -- In whole tokens, as a caller sees them: the remainder is rounded down.
    local exact_token_time = token_time + token_time_rest / quota
    used = ceil((until_full + until_full_rest / quota) / exact_token_time - 1e-4)
    capacity = floor((burst_time + burst_time_rest / quota) / exact_token_time + 0.5)
  end
end
readings = readings .. pack(READING, limit_admits and 1 or 0, until_full, until_full_rest, 0, 0)
