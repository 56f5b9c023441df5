-- State: total cost, then runs (time of the last request, cost), oldest first.
-- Figures: used, wait for the next capacity, wait until unused, wait until this cost is admitted (where
-- it is admitted: how far the last request is ahead of the clock).
local EXACT_RUNS, CELLS = 64, 64
local RUN, RUN_SIZE = '>I8I4', 12
local length = span * 1000000
b = NEVER
if from and (stop > size + 1 or stop - from < 4 + RUN_SIZE or (stop - from) % RUN_SIZE ~= 4) then
  from, is_damaged = nil, true
end
if from then
  local at, run = now, nil
  local newest, newest_cost = unpack(RUN, counter, stop - RUN_SIZE)
  if newest > now then
    local skew = span < 64 and span * 15625 or 1000000
    if newest - now > skew then
      -- The clock was ahead. What it noted of the future was now at the latest. Where there are many runs,
      -- those in the same cell go with it, so that no jumping clock makes more of them.
      local cell = stop - from >= EXACT_RUNS * RUN_SIZE and length / CELLS
      local earlier, later, place = counter:sub(from, from + 3), 0, from + 4
      while place < stop do
        local last, spent, following = unpack(RUN, counter, place)
        if last > now or (cell and floor(last / cell) == floor(now / cell)) then
          later = later + spent
        else
          earlier = earlier .. counter:sub(place, following - 1)
        end
        place = following
      end
      earlier = earlier .. pack(RUN, now, later)
      counter = counter:sub(1, from - 3) .. pack('>I2', #earlier) .. earlier .. counter:sub(stop)
      size, stop, newest, newest_cost, is_corrected = #counter, from + #earlier, now, later, true
    else
      at = newest
    end
  end
  a, run = unpack('>I4', counter, from)
  while run < stop do
    local last, spent, following = unpack(RUN, counter, run)
    if last + length > now then
      b, c = last + length - now, newest + length - now
      break
    end
    a, run = a - spent, following
  end
  if a < 0 or c < 0 or (run >= stop and a > 0) then
    a, b, c, is_damaged = 0, NEVER, 0, true
  elseif a + cost <= quota then
    local added, kept = cost, stop
    if stop - run >= EXACT_RUNS * RUN_SIZE then
      local cell = length / CELLS
      if floor(newest / cell) == floor(at / cell) then
        added, kept = cost + newest_cost, stop - RUN_SIZE
      end
    end
    value = value .. pack('>BI4I2I4', SLIDING_WINDOW, span, kept - run + 4 + RUN_SIZE, a + cost)
      .. counter:sub(run, kept - 1) .. pack(RUN, at, added)
    admits_it, matters, d = true, at + length, at - now
  else
    -- How long until runs of at least `need` have left the count.
    local function wait_for(need)
      local freed, at_run = 0, run
      while at_run < stop do
        local last, spent
        last, spent, at_run = unpack(RUN, counter, at_run)
        freed = freed + spent
        if freed >= need then return last + length - now end
      end
      return NEVER
    end
    if a > quota then b = wait_for(a - quota + 1) end
    d = wait_for(a + cost - quota)
    is_damaged = is_damaged or (d == NEVER and cost <= quota)
  end
elseif cost <= quota then
  value = value .. pack('>BI4I2I4I8I4', SLIDING_WINDOW, span, 16, cost, now, cost)
  admits_it, matters = true, now + length
else
  d = NEVER
end
