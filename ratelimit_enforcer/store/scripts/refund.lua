-- Refunds what one part of a request consumed, because the request was not admitted; and counts the
-- request, if the caller asks for that.
--
-- KEYS  1, 2  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
--       3...  one counter for each policy, in the order of the entry
--       then, if the request is counted: the client's shard, its usage counts, and the number of new ones
-- ARGV  1     the entry
--       then, if the request is counted: 2 how many new usage counts of unregistered clients a shard
--       accepts per minute; 3 the client's field in the shard; 4, 5 the endpoint ("": an unregistered
--       one) and the client, as they are counted; 6... kind, policy, amount and client ("": as before), for each count
--
-- Returns 1; 2 if it was refunded and could not be counted, because the counts are damaged
-- (parts/usage.lua); 0 if the entry does not exist, because it was refunded or committed: then nothing
-- changes and nothing is counted. So it may be repeated.
--
-- Counter: see decide.lua. The cost of other requests is not refunded: a refund never returns more than
-- what this request still occupies. The counter's expiry stays unchanged: after a refund it is not
-- needed for longer than before.

-- include: clock
-- include: codes

local pack, unpack, floor = struct.pack, struct.unpack, math.floor
local RUN, RUN_SIZE = '>I8I4', 12

local entry = ARGV[1]
local content = redis.call('HGET', KEYS[2], entry)
if not content then return 0 end
local consumed_at, cost, _, policies, content_at = unpack('>I8I4I2I2', content)
local consumed, key = content:sub(content_at, content_at + policies - 1), nil
content_at = content_at + policies
for index = 1, policies do
  key, content_at = unpack('>I2c0', content, content_at)
  if key ~= KEYS[2 + index] then return redis.error_reply('ERR entry of other counters') end
end
local rules = content:sub(content_at)

-- Runs are in order, and the first one that is not older contains the request, unless it had expired
-- before the last run was added.
local function sliding_window(state, window_us)
  local unrefunded, used, at = cost, unpack('>I4', state)
  if unpack(RUN, state, #state - 11) >= consumed_at + window_us then return state end
  local runs = {}
  while at <= #state do
    local run_time, run_cost
    run_time, run_cost, at = unpack(RUN, state, at)
    if run_time >= consumed_at and unrefunded > 0 then
      local refunded = math.min(unrefunded, run_cost)
      unrefunded, run_cost, used = unrefunded - refunded, run_cost - refunded, used - refunded
    end
    if run_cost > 0 then runs[#runs + 1] = pack(RUN, run_time, run_cost) end
  end
  -- The last run has the counter's time, so one remains.
  if #runs == 0 then runs[1] = state:sub(-RUN_SIZE, -5) .. pack('>I4', 0) end
  return pack('>I4', used) .. table.concat(runs)
end

local function token_bucket(state, quota, token_time, token_time_rest)
  local last_request, until_full, until_full_rest, state_quota = unpack('>I8I8I4I4', state)
  if state_quota ~= quota then return state end
  -- What was refilled since then is no longer missing.
  local refilled = math.max(0, last_request - consumed_at)
  local missing = cost * token_time + floor(cost * token_time_rest / quota) - refilled
  if missing < 0 then return state end
  until_full, until_full_rest = until_full - missing, until_full_rest - cost * token_time_rest % quota
  if until_full_rest < 0 then until_full, until_full_rest = until_full - 1, until_full_rest + quota end
  if until_full < 0 then until_full, until_full_rest = 0, 0 end
  return pack('>I8I8I4I4', last_request, until_full, until_full_rest, quota)
end

local function fixed_window(state, window_us, period_end)
  local last_request, window_end, used = unpack('>I8I8I4', state)
  if window_end ~= (period_end or consumed_at - consumed_at % window_us + window_us) then return state end
  return pack('>I8I8I4', last_request, window_end, math.max(0, used - cost))
end

-- The limits of the policy whose rules begin at this position, by `algorithm:window`; and the next position.
local function limits_at(at)
  local limits, number, _ = {}, nil, nil
  local mode
  mode, number, at = unpack('>BI2', rules, at)
  if mode % LEVEL >= SEPARATE_VALUES then at = at + 8 end
  for _ = 1, number do
    local algorithm, window, quota, token_time_or_period_end, token_time_rest
    algorithm, window, quota, token_time_or_period_end, token_time_rest, _, _, at = unpack('>BI4I4I8I4I8I4', rules, at)
    limits[algorithm .. ':' .. window] = {
      quota = quota, token_time = token_time_or_period_end, token_time_rest = token_time_rest,
      period_end = algorithm == CALENDAR and token_time_or_period_end,
    }
  end
  return limits, at
end

-- The counter without the cost of this request.
local function refunded(counter, limits)
  local states, at = {}, 1
  while at <= #counter do
    local algorithm, window, length
    algorithm, window, length, at = unpack('>BI4I2', counter, at)
    local state, limit = counter:sub(at, at + length - 1), limits[algorithm .. ':' .. window]
    if limit and algorithm == SLIDING_WINDOW then
      state = sliding_window(state, window * 1000000)
    elseif limit and algorithm == TOKEN_BUCKET then
      state = token_bucket(state, limit.quota, limit.token_time, limit.token_time_rest)
    elseif limit then
      state = fixed_window(state, window * 1000000, limit.period_end)
    end
    states[#states + 1] = pack('>BI4I2', algorithm, window, #state) .. state
    at = at + length
  end
  return table.concat(states)
end

local new_counters, limits = {}, nil
local _, _, _, _, _, rules_at = unpack('>I2I8I8c1Bc0', rules)
for index = 1, policies do
  limits, rules_at = limits_at(rules_at)
  local counter = consumed:sub(index, index) == '1' and redis.call('GET', KEYS[2 + index])
  if counter then new_counters[index] = refunded(counter, limits) end
end

local key_offset, max_new_counts, minute = 2 + policies, ARGV[2], floor(clock[1] / 60)

-- include: usage

local client_field, endpoint, client, first_count = ARGV[3], ARGV[4], ARGV[5], 6

-- include: count_request

redis.call('HDEL', KEYS[2], entry)
redis.call('ZREM', KEYS[1], entry)
for index, counter in pairs(new_counters) do
  redis.call('SET', KEYS[2 + index], counter, 'KEEPTTL')
end
return damage == 'all' and 2 or 1
