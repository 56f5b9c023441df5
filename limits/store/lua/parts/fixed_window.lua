-- State: time, end of the window, cost in it.
-- Figures: used, wait for the end of the window, 0, 0.
local moment, window_end = now, 0
if from then
  local since
  since, window_end, a = unpack('>I8I8I4', counter, from)
  if since > moment then moment = since end
end
if moment >= window_end then
  local length = span * 1000000
  a, window_end = 0, algorithm == CALENDAR and token_or_end or moment - moment % length + length
end
b = window_end - moment
if a + cost <= quota then
  value = value .. pack('>BI4I2I8I8I4', algorithm, span, 20, moment, window_end, a + cost)
  admits_it, matters = true, window_end
end
