-- State: time, end of the window, cost in it.
-- Figures: used, wait for the end of the window, 0, 0.
local function fixed_window(counter, at, quota, cost, length, period_end)
  local moment, ends, used = now, 0, 0
  if at then
    local since
    since, ends, used = unpack('>I8I8I4', counter, at)
    if since > moment then moment = since end
  end
  if moment >= ends then used, ends = 0, period_end or moment - moment % length + length end
  if used + cost > quota then return false, nil, nil, used, ends - moment, 0, 0 end
  return true, pack('>I8I8I4', moment, ends, used + cost), ends, used, ends - moment, 0, 0
end
