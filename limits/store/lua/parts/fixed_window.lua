-- State: time, end of the window, cost in it.
-- Figures: used, wait for the end of the window, 0, 0.
local function fixed_window(counter, at, algorithm, span, quota, cost, period_end)
  local moment, ends, used = now, 0, 0
  if at then
    local since
    since, ends, used = unpack('>I8I8I4', counter, at)
    if since > moment then moment = since end
  end
  if moment >= ends then used, ends = 0, period_end or moment - moment % (span * 1000000) + span * 1000000 end
  if used + cost > quota then return false, nil, nil, used, ends - moment, 0, 0 end
  local after = pack('>BI4I2I8I8I4', algorithm, span, 20, moment, ends, used + cost)
  return true, after, ends, used, ends - moment, 0, 0
end
