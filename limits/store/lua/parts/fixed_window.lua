-- State: time, end of the window, cost in it.
-- Figures: used, wait for the end of the window, 0, 0.
local length = span * 1000000
local moment, window_end, present_end = now, 0, algorithm == CALENDAR and token_or_end or now - now % length + length
if from and (stop > size + 1 or stop - from ~= 20) then
  from, is_damaged = nil, true
end
if from then
  local since
  since, window_end, a = unpack('>I8I8I4', counter, from)
  if window_end > present_end then
    -- A later window. A clock that is a little ahead may have begun it; else the clock was wrong.
    local skew, longest = span < 64 and span * 15625 or 1000000, length
    if algorithm == CALENDAR then skew, longest = 1000000, 2764800000000 end
    if present_end - now > skew or since - now > skew or window_end - present_end > longest then
      since, window_end, is_corrected = now, present_end, true
      counter = counter:sub(1, from - 1) .. pack('>I8I8', now, present_end) .. counter:sub(from + 16)
    end
  end
  if since > now and since < window_end then moment = since end
end
if now >= window_end then a, window_end = 0, present_end end
b = window_end - now
if a + cost <= quota then
  value = value .. pack('>BI4I2I8I8I4', algorithm, span, 20, moment, window_end, a + cost)
  admits_it, matters = true, window_end
end
