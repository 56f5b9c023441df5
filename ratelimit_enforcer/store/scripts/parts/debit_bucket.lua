-- SECTION: debits the excess from a token bucket
-- Reads  state_begin, state_end, window, quota, cost, limit
-- Sets   limit_admits, needed_until, new_states, excess; what parts/bucket_now.lua sets
if state_begin and state_end - state_begin >= 24 then
  local stored_quota = unpack('>I4', counter, state_begin + 20)
  if stored_quota > 0 then quota = stored_quota end
end
local window_us, until_full, until_full_rest = window * 1000000, 0, 0
local token_time = floor(window_us / quota)
-- include: bucket_now
local is_refilling = state_begin and (until_full > 0 or until_full_rest > 0)
-- include: minima
local burst_time, burst_rest = refill_time(limit.capacity, window_us, quota)
local most_time, most_rest = refill_time(MAX_DEBT, window_us, quota)
if most_time >= MAX_DEBT_US then most_time, most_rest = MAX_DEBT_US, 0 end
most_time, most_rest = added(most_time, most_rest, burst_time, burst_rest, quota)
local time, rest = refill_time(cost, window_us, quota)
time, rest = added(time, rest, until_full, until_full_rest, quota)
time, rest = lesser(time, rest, most_time, most_rest)
if is_lesser(until_full, until_full_rest, time, rest) then until_full, until_full_rest = time, rest end
if is_lesser(burst_time, burst_rest, until_full, until_full_rest) then
  local beyond, beyond_rest = difference(until_full, until_full_rest, burst_time, burst_rest, quota)
  excess = math.max(excess, tokens_in(beyond, beyond_rest, window_us, quota))
end
local tracked = tracked_until > now and pack('>I8I8', tracked_until, reserved) .. minima or ''
limit_admits, needed_until = true, now + until_full + 1
-- Unless the bucket was full meanwhile, the time stays that of the last request: if the quota has changed since, the next
-- request refills from there.
local since = now
if is_refilling then since, until_full = last_request, until_full + now - last_request end
new_states = new_states .. pack('>BI4I2I8I8I4I4', TOKEN_BUCKET, window, 24 + #tracked, since, until_full,
  until_full_rest, quota) .. tracked
