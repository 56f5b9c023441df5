-- SECTION: functions that refund the newest usage of a counter, whichever requests consumed it
-- Reads  now; the constants and functions of parts/refunding.lua and parts/refill_time.lua
-- Sets   with_newest_refund
-- Each returns the new state, and the cost refunded: at most what is used now.
local function refund_newest_runs(state, limit, cost)
  local window_us, used, left = limit.window * 1000000, unpack('>I4', state), cost
  local kept_end, runs = #state, ''
  while left > 0 and kept_end > 4 do
    local run_time, run_cost = unpack(RUN, state, kept_end - RUN_SIZE + 1)
    if run_time + window_us <= now then break end
    local refunded = math.min(left, run_cost)
    -- The last run has the counter's time, so it remains.
    if refunded < run_cost or kept_end == #state then runs = pack(RUN, run_time, run_cost - refunded) .. runs end
    left, kept_end = left - refunded, kept_end - RUN_SIZE
  end
  return pack('>I4', used - (cost - left)) .. state:sub(5, kept_end) .. runs, cost - left
end

-- The usage is lower from now on, which bounds later refunds of open reservations.
local function refund_newest_tokens(state, limit, cost)
  local last_request, stored_until_full, stored_rest, quota = unpack('>I8I8I4I4', state)
  local until_full, until_full_rest = stored_until_full - (now - last_request), stored_rest
  if quota == 0 or until_full < 0 then return state, 0 end
  local window_us, tracked_until, reserved, minima = limit.window * 1000000, 0, 0, ''
  local time, rest = refill_time(cost, window_us, quota)
  time, rest = lesser(time, rest, until_full, until_full_rest)
  time, rest = lesser(time, rest, stored_until_full, stored_rest)
  until_full, until_full_rest = difference(until_full, until_full_rest, time, rest, quota)
  stored_until_full, stored_rest = difference(stored_until_full, stored_rest, time, rest, quota)
  if #state > 40 then tracked_until, reserved = unpack('>I8I8', state, 25) end
  local tracked = ''
  if tracked_until > now then
    local token_time = floor(window_us / quota)
    minima = state:sub(41)
    -- include: minima
    tracked = pack('>I8I8', tracked_until, reserved) .. minima
  end
  return pack('>I8I8I4I4', last_request, stored_until_full, stored_rest, quota) .. tracked,
    math.min(cost, tokens_in(time, rest, window_us, quota))
end

local function refund_present_period(state, limit, cost)
  local last_request, window_end, used = unpack('>I8I8I4', state)
  local from_grants = 0
  if limit.grants and now < window_end and used >= limit.quota then
    local grants, granted = limit.grants, 0
    -- include: grants_left
    for _, grant in ipairs(grants) do grant.taken = now < grant.ends_at and math.max(0, grant.net) or 0 end
    from_grants = refund_to_grants(limit, cost, used - limit.quota)
    cost = cost - from_grants
  end
  local refunded = now < window_end and math.min(cost, used) or 0
  if limit.beyond == COUNTS_OVER_QUOTA then limit.over_refunded = math.min(refunded, math.max(0, used - limit.quota)) end
  return pack('>I8I8I4', last_request, window_end, used - refunded), refunded + from_grants
end

-- `counter`: its bytes. `consumed`: its limits. Returns the largest cost refunded to one of the limits too.
local function with_newest_refund(counter, consumed, cost)
  local limits, states, at, most = {}, {}, 1, 0
  for _, limit in ipairs(consumed.limits) do limits[limit.algorithm .. ':' .. limit.window] = limit end
  while at <= #counter do
    local algorithm, window, length
    algorithm, window, length, at = unpack('>BI4I2', counter, at)
    local state, limit, refunded = counter:sub(at, at + length - 1), limits[algorithm .. ':' .. window], 0
    if limit and algorithm == SLIDING_WINDOW then
      state, refunded = refund_newest_runs(state, limit, cost)
    elseif limit and algorithm == TOKEN_BUCKET then
      state, refunded = refund_newest_tokens(state, limit, cost)
    elseif limit then
      state, refunded = refund_present_period(state, limit, cost)
    end
    most = math.max(most, refunded)
    states[#states + 1] = pack('>BI4I2', algorithm, window, #state) .. state
    at = at + length
  end
  return table.concat(states), most
end
