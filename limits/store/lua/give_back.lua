-- Gives back what a request took from counters, since a limit on another master denied it.
--
-- KEYS  1...  one counter for each policy, in the order of the rules
-- ARGV  1     when the cost was taken, in microseconds since 1970, as decide.lua said
--       2     the cost
--       3     for each policy "1": it took the cost, or "0"
--       4     the rules, packed as for decide.lua
--
-- Counter: see decide.lua. What others took meanwhile stays taken: never more is given back than
-- what is still missing of this request. The counter ends when it did before: what is given back
-- only makes it matter less. No clock is needed.

local pack, unpack, floor = struct.pack, struct.unpack, math.floor
local SLIDING_WINDOW, TOKEN_BUCKET, CALENDAR = 1, 2, 4
local RUN = '>I8I4'

local taken, cost, took = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

-- Runs are in order, and the first one that is not older holds the request; unless it left the count
-- before the last one came.
local function sliding_window(state, length)
  local left, used, at = cost, unpack('>I4', state)
  if unpack(RUN, state, #state - 11) >= taken + length then return state end
  local runs = {}
  while at <= #state do
    local last, spent
    last, spent, at = unpack(RUN, state, at)
    if last >= taken and left > 0 then
      local less = math.min(left, spent)
      left, spent, used = left - less, spent - less, used - less
    end
    if spent > 0 then runs[#runs + 1] = pack(RUN, last, spent) end
  end
  -- The last run tells the counter's time, so one stays.
  if #runs == 0 then runs[1] = state:sub(-12, -5) .. pack('>I4', 0) end
  return pack('>I4', used) .. table.concat(runs)
end

local function token_bucket(state, quota, per_token, per_token_rest)
  local since, used, rest, its_quota = unpack('>I8I8I4I4', state)
  if its_quota ~= quota then return state end
  -- What refilled since it was taken is not missing any more.
  local missing = cost * per_token + floor(cost * per_token_rest / quota) - math.max(0, since - taken)
  if missing < 0 then return state end
  used, rest = used - missing, rest - cost * per_token_rest % quota
  if rest < 0 then used, rest = used - 1, rest + quota end
  if used < 0 then used, rest = 0, 0 end
  return pack('>I8I8I4I4', since, used, rest, quota)
end

local function fixed_window(state, length, period_end)
  local since, ends, used = unpack('>I8I8I4', state)
  if ends ~= (period_end or taken - taken % length + length) then return state end
  return pack('>I8I8I4', since, ends, math.max(0, used - cost))
end

local policies, _, _, _, _, at = unpack('>I2I8I8c1Bc0', ARGV[4])
for index = 1, policies do
  local _, limits
  _, limits, at = unpack('>BI2', ARGV[4], at)
  local rules = {}
  for _ = 1, limits do
    local algorithm, span, quota, token_or_end, token_rest
    algorithm, span, quota, token_or_end, token_rest, _, _, at = unpack('>BI4I4I8I4I8I4', ARGV[4], at)
    rules[algorithm .. ':' .. span] = {quota, token_or_end, token_rest}
  end
  local counter = took:sub(index, index) == '1' and redis.call('GET', KEYS[index])
  if counter then
    local sections, from = {}, 1
    while from <= #counter do
      local algorithm, span, length
      algorithm, span, length, from = unpack('>BI4I2', counter, from)
      local state, rule = counter:sub(from, from + length - 1), rules[algorithm .. ':' .. span]
      if rule and algorithm == SLIDING_WINDOW then
        state = sliding_window(state, span * 1000000)
      elseif rule and algorithm == TOKEN_BUCKET then
        state = token_bucket(state, rule[1], rule[2], rule[3])
      elseif rule then
        state = fixed_window(state, span * 1000000, algorithm == CALENDAR and rule[2])
      end
      sections[#sections + 1] = pack('>BI4I2', algorithm, span, #state) .. state
      from = from + length
    end
    redis.call('SET', KEYS[index], table.concat(sections), 'KEEPTTL')
  end
end
