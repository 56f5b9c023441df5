-- SECTION: a sliding window (reads and sets: decide.lua)
-- State: total cost, then runs (time of the last request, cost), oldest first.
-- Figures: used, wait for the next capacity, wait until unused, wait until this cost is admitted (if
-- it is admitted: how far the last request is ahead of the clock).
local EXACT_RUNS, CELLS = 64, 64
local RUN, RUN_SIZE = '>I8I4', 12
local window_us = window * 1000000
local next_capacity, reset, retry_or_ahead = NEVER, 0, 0
if state_begin and (state_end > counter_size + 1 or state_end - state_begin < 4 + RUN_SIZE
    or (state_end - state_begin) % RUN_SIZE ~= 4) then
  state_begin, is_damaged = nil, true
end
if state_begin then
  local request_time, first_run = now, nil
  local newest, newest_cost = unpack(RUN, counter, state_end - RUN_SIZE)
  if newest > now then
    local skew = window < 64 and window * 15625 or 1000000
    if newest - now > skew then
      -- The clock was ahead. Requests that it recorded in the future happened now at the latest. With many
      -- runs, those in the same cell are merged too, so that a clock that jumps does not add more.
      local cell = state_end - state_begin >= EXACT_RUNS * RUN_SIZE and window_us / CELLS
      local corrected_state, later_cost, at = counter:sub(state_begin, state_begin + 3), 0, state_begin + 4
      while at < state_end do
        local run_time, run_cost, following = unpack(RUN, counter, at)
        if run_time > now or (cell and floor(run_time / cell) == floor(now / cell)) then
          later_cost = later_cost + run_cost
        else
          corrected_state = corrected_state .. counter:sub(at, following - 1)
        end
        at = following
      end
      corrected_state = corrected_state .. pack(RUN, now, later_cost)
      counter = counter:sub(1, state_begin - 3) .. pack('>I2', #corrected_state) .. corrected_state
        .. counter:sub(state_end)
      counter_size, state_end, is_corrected = #counter, state_begin + #corrected_state, true
      newest, newest_cost = now, later_cost
    else
      request_time = newest
    end
  end
  used, first_run = unpack('>I4', counter, state_begin)
  while first_run < state_end do
    local run_time, run_cost, following = unpack(RUN, counter, first_run)
    if run_time + window_us > now then
      next_capacity, reset = run_time + window_us - now, newest + window_us - now
      break
    end
    used, first_run = used - run_cost, following
  end
  if used < 0 or reset < 0 or (first_run >= state_end and used > 0) then
    used, next_capacity, reset, is_damaged = 0, NEVER, 0, true
  end
  if used == 0 then next_capacity, reset = NEVER, 0 end
  if is_damaged then
    -- Removed, so the state after the request does not matter.
  elseif used + cost <= quota then
    local new_run_cost, kept_end = cost, state_end
    if newest_cost == 0 and first_run < state_end then
      -- A refund left nothing of it.
      kept_end = state_end - RUN_SIZE
      if kept_end > first_run then newest, newest_cost = unpack(RUN, counter, kept_end - RUN_SIZE) end
    end
    local cell = kept_end - first_run >= EXACT_RUNS * RUN_SIZE and window_us / CELLS
    if newest == request_time or (cell and floor(newest / cell) == floor(request_time / cell)) then
      new_run_cost, kept_end = new_run_cost + newest_cost, math.max(first_run, kept_end - RUN_SIZE)
    end
    local state_size = 4 + kept_end - first_run + RUN_SIZE
    new_states = new_states .. pack('>BI4I2I4', SLIDING_WINDOW, window, state_size, used + cost)
      .. counter:sub(first_run, kept_end - 1) .. pack(RUN, request_time, new_run_cost)
    limit_admits, needed_until, retry_or_ahead = true, request_time + window_us, request_time - now
  else
    -- The time until runs with a total cost of at least `need` have expired.
    local function wait_for(need)
      local freed, at = 0, first_run
      while at < state_end do
        local run_time, run_cost
        run_time, run_cost, at = unpack(RUN, counter, at)
        freed = freed + run_cost
        if freed >= need then return run_time + window_us - now end
      end
      return NEVER
    end
    if used > quota then next_capacity = wait_for(used - quota + 1) end
    retry_or_ahead = wait_for(used + cost - quota)
    is_damaged = is_damaged or (retry_or_ahead == NEVER and cost <= quota)
  end
elseif cost <= quota then
  new_states = new_states .. pack('>BI4I2I4I8I4', SLIDING_WINDOW, window, 16, cost, now, cost)
  limit_admits, needed_until = true, now + window_us
else
  retry_or_ahead = NEVER
end
readings = readings .. pack(READING, limit_admits and 1 or 0, used, next_capacity, reset, retry_or_ahead)
