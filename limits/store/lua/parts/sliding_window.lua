-- State: total cost, then runs (time of the last request, cost), oldest first.
-- Figures: used, wait for the next capacity, wait until unused, wait until this cost is admitted.
local EXACT_RUNS, CELLS = 64, 64
local RUN, RUN_SIZE = '>I8I4', 12
local length = span * 1000000
b = NEVER
if from then
  local moment, run = now, nil
  local newest, newest_cost = unpack(RUN, counter, stop - RUN_SIZE)
  if newest > moment then moment = newest end
  a, run = unpack('>I4', counter, from)
  while run < stop do
    local last, spent, following = unpack(RUN, counter, run)
    if last + length > moment then
      b, c = last + length - moment, newest + length - moment
      break
    end
    a, run = a - spent, following
  end
  if a + cost <= quota then
    local added, kept = cost, stop
    if stop - run >= EXACT_RUNS * RUN_SIZE then
      local cell = length / CELLS
      if floor(newest / cell) == floor(moment / cell) then
        added, kept = cost + newest_cost, stop - RUN_SIZE
      end
    end
    value = value .. pack('>BI4I2I4', SLIDING_WINDOW, span, kept - run + 4 + RUN_SIZE, a + cost)
      .. counter:sub(run, kept - 1) .. pack(RUN, moment, added)
    admits_it, matters = true, moment + length
  else
    -- How long until runs of at least `need` have left the count.
    local function wait_for(need)
      local freed, at_run = 0, run
      while at_run < stop do
        local last, spent
        last, spent, at_run = unpack(RUN, counter, at_run)
        freed = freed + spent
        if freed >= need then return last + length - moment end
      end
      return NEVER
    end
    if a > quota then b = wait_for(a - quota + 1) end
    d = wait_for(a + cost - quota)
  end
elseif cost <= quota then
  value = value .. pack('>BI4I2I4I8I4', SLIDING_WINDOW, span, 16, cost, now, cost)
  admits_it, matters = true, now + length
else
  d = NEVER
end
