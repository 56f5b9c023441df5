-- SECTION: functions that refund a cost into a counter
-- Reads  now; the functions of parts/refill_time.lua
-- Sets   with_refund, which sets limit.over_refunded: the units over quota that were refunded, if the policy counts them;
--        refund_to_grants, which sets how many units are returned to each of a limit's grants
-- A refund leaves a counter as if the request had cost less from its time on. It never returns the cost of other
-- requests. The counter's expiry stays unchanged: after a refund it is not needed for longer than before.
local RUN, RUN_SIZE, CELLS, MINIMUM, MINIMUM_SIZE = '>I8I4', 12, 64, '>I4I8I4', 16
local UNBOUNDED = 140737488355328

-- Runs are in order, and the first one that is not older contains the request, unless the request has expired.
local function refund_run(state, limit, cost)
  local window_us = limit.window * 1000000
  if #state < 4 + RUN_SIZE or math.max(now, (unpack(RUN, state, #state - 11))) >= limit.mark + window_us then
    return state
  end
  local used, at = unpack('>I4', state)
  while at <= #state do
    local run_time, run_cost, following = unpack(RUN, state, at)
    if run_time >= limit.mark then
      if run_time > limit.mark + window_us / CELLS then return state end
      local refunded = math.min(cost, run_cost)
      local run = pack(RUN, run_time, run_cost - refunded)
      -- The last run has the counter's time, so it remains.
      if refunded == run_cost and following <= #state then run = '' end
      return pack('>I4', used - refunded) .. state:sub(5, at - 1) .. run .. state:sub(following)
    end
    at = following
  end
  return state
end

-- A full bucket forgets. With used(t) the level and t0 the time of the reservation, the level with a cost smaller by x
-- is used(t) - min(x, least used(s) for t0 <= s <= t).
local function lower_minima(minima, mark, time, rest, quota)
  local earlier, later, first, first_rest = {}, {}, nil, nil
  for at = 1, #minima, MINIMUM_SIZE do
    local label, least, least_rest = unpack(MINIMUM, minima, at)
    if label < mark then
      earlier[#earlier + 1] = {label, least, least_rest}
    else
      if least < UNBOUNDED then least, least_rest = difference(least, least_rest, time, rest, quota) end
      first, first_rest = first or least, first_rest or least_rest
      later[#later + 1] = pack(MINIMUM, label, least, least_rest)
    end
  end
  local kept = ''
  for _, each in ipairs(earlier) do
    -- Of no use if it is not below the first of the later ones.
    if is_lesser(each[2], each[3], first, first_rest) then
      kept = kept .. pack(MINIMUM, each[1], each[2], each[3])
    end
  end
  return kept .. table.concat(later)
end
local function refund_tokens(state, limit, cost, reserved)
  local last_request, until_full, until_full_rest, quota = unpack('>I8I8I4I4', state)
  local tracked_until, total = 0, 0
  if #state > 40 then tracked_until, total = unpack('>I8I8', state, 25) end
  if tracked_until <= now then return state end
  local minima, least, least_rest = state:sub(41), nil, nil
  for at = 1, #minima, MINIMUM_SIZE do
    local label, time, rest = unpack(MINIMUM, minima, at)
    if label >= limit.mark then
      least, least_rest = time, rest
      break
    end
  end
  if not least then return state end
  local window_us = limit.window * 1000000
  local time, rest = refill_time(cost, window_us, quota)
  time, rest = lesser(time, rest, least, least_rest)
  minima = lower_minima(minima, limit.mark, time, rest, quota)
  -- The usage at the last request. It is refilled from there on, at the quota of whoever reads it next.
  time, rest = lesser(time, rest, until_full, until_full_rest)
  until_full, until_full_rest = difference(until_full, until_full_rest, time, rest, quota)
  return pack('>I8I8I4I4I8I8', last_request, until_full, until_full_rest, quota, tracked_until,
    math.max(0, total - reserved)) .. minima
end

-- A request takes from grants after the own quota, and from the first grant first. What is beyond quota and grants was taken
-- last, and is refunded first: `beyond`. Returns the cost that is refunded to grants.
local function refund_to_grants(limit, cost, beyond)
  local rest = math.max(0, cost - beyond)
  local cost_of_grants = 0
  for number = #limit.grants, 1, -1 do
    local grant = limit.grants[number]
    grant.returned = math.min(rest, grant.taken)
    rest, cost_of_grants = rest - grant.returned, cost_of_grants + grant.returned
  end
  limit.is_refunded_to_grants = true
  return cost_of_grants
end

local function refund_period(state, limit, cost)
  local last_request, window_end, used = unpack('>I8I8I4', state)
  if window_end ~= limit.mark then return state end
  if limit.grants then cost = cost - refund_to_grants(limit, cost, math.max(0, used - limit.quota)) end
  local remaining = math.max(0, used - cost)
  if limit.beyond == COUNTS_OVER_QUOTA then
    limit.over_refunded = math.max(0, used - limit.quota) - math.max(0, remaining - limit.quota)
  end
  return pack('>I8I8I4', last_request, window_end, remaining)
end

-- `counter`: its bytes. `consumed`: what the request consumed from it. `reserved`: the cost that it consumed, `cost`:
-- how much of it is refunded.
local function with_refund(counter, consumed, reserved, cost)
  local code, beginning = unpack('>BI4', counter)
  if code ~= 0 or beginning ~= consumed.beginning then return counter end
  local limits = {}
  for _, limit in ipairs(consumed.limits) do limits[limit.algorithm .. ':' .. limit.window] = limit end
  local states, at = {}, 1
  while at <= #counter do
    local algorithm, window, length
    algorithm, window, length, at = unpack('>BI4I2', counter, at)
    local state, limit = counter:sub(at, at + length - 1), limits[algorithm .. ':' .. window]
    if limit and algorithm == SLIDING_WINDOW then
      state = refund_run(state, limit, cost)
    elseif limit and algorithm == TOKEN_BUCKET then
      state = refund_tokens(state, limit, cost, reserved)
    elseif limit then
      state = refund_period(state, limit, cost)
    end
    states[#states + 1] = pack('>BI4I2', algorithm, window, #state) .. state
    at = at + length
  end
  return table.concat(states)
end
