-- SECTION: a fixed window or calendar period (reads and sets: decide.lua)
-- State: time of the last request, end of the window, cost in it.
-- Figures: used, wait for the end of the window, what is left of the grants, 0.
local window_us = window * 1000000
local current_end = algorithm == CALENDAR and token_time_or_period_end or now - now % window_us + window_us
local request_time, window_end = now, 0
if state_begin and (state_end > counter_size + 1 or state_end - state_begin ~= 20) then
  state_begin, is_damaged = nil, true
end
if state_begin then
  local last_request
  last_request, window_end, used = unpack('>I8I8I4', counter, state_begin)
  if window_end > current_end then
    -- A later window. A clock that is slightly ahead may have started it; otherwise the clock was wrong.
    local skew, longest = window < 64 and window * 15625 or 1000000, window_us
    if algorithm == CALENDAR then skew, longest = 1000000, 31708800000000 end
    if current_end - now > skew or last_request - now > skew or window_end - current_end > longest then
      last_request, window_end, is_corrected = now, current_end, true
      counter = counter:sub(1, state_begin - 1) .. pack('>I8I8', now, current_end) .. counter:sub(state_begin + 16)
    end
  end
  if last_request > now and last_request < window_end then request_time = last_request end
end
if now >= window_end then used, window_end = 0, current_end end
-- grants: grants_take
if used + cost <= quota then
  new_states = new_states .. pack('>BI4I2I8I8I4', algorithm, window, 20, request_time, window_end, used + cost)
  limit_admits, needed_until = true, window_end
elseif token_time_rest > 0 then
  -- include: over_quota
end
readings = readings .. pack(READING, limit_admits and 1 or 0, used, window_end - now, 0, 0)
-- grants: grants_reading
