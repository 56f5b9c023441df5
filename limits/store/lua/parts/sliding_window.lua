local EXACT_RUNS, CELLS = 64, 64
local RUN, RUN_SIZE = '>I8I4', 12
local NEVER = -1

-- State: total cost, then runs (time of the last request, cost), oldest first.
-- Figures: used, wait for the next capacity, wait until unused, wait until this cost is admitted.
local function sliding_window(counter, at, stop, span, quota, cost)
  local length = span * 1000000
  if not at then
    if cost > quota then return false, nil, nil, 0, NEVER, 0, NEVER end
    return true, pack('>BI4I2I4I8I4', SLIDING_WINDOW, span, 16, cost, now, cost), now + length, 0, NEVER, 0, 0
  end
  local moment, next_capacity, reset, used = now, NEVER, 0, nil
  local newest, newest_cost = unpack(RUN, counter, stop - RUN_SIZE)
  if newest > moment then moment = newest end
  used, at = unpack('>I4', counter, at)
  while at < stop do
    local last, spent, following = unpack(RUN, counter, at)
    if last + length > moment then
      next_capacity, reset = last + length - moment, newest + length - moment
      break
    end
    used, at = used - spent, following
  end
  if used + cost > quota then
    -- How long until runs of at least `need` have left the count.
    local function wait_for(need)
      local freed, from = 0, at
      while from < stop do
        local last, spent
        last, spent, from = unpack(RUN, counter, from)
        freed = freed + spent
        if freed >= need then return last + length - moment end
      end
      return NEVER
    end
    if used > quota then next_capacity = wait_for(used - quota + 1) end
    return false, nil, nil, used, next_capacity, reset, wait_for(used + cost - quota)
  end
  local added, kept_until = cost, stop
  if stop - at >= EXACT_RUNS * RUN_SIZE then
    local cell = length / CELLS
    if floor(newest / cell) == floor(moment / cell) then
      added, kept_until = cost + newest_cost, stop - RUN_SIZE
    end
  end
  local head = pack('>BI4I2I4', SLIDING_WINDOW, span, kept_until - at + 4 + RUN_SIZE, used + cost)
  local after = head .. counter:sub(at, kept_until - 1) .. pack(RUN, moment, added)
  return true, after, moment + length, used, next_capacity, reset, 0
end
