local clock = redis.call('TIME')
-- Refunds what one part of a request consumed, since the request was not admitted; and counts the
-- request, where the caller says how.
--
-- KEYS  1, 2  the bucket's pending entries: when each is overdue, and what it holds (parts/pending.lua)
--       3...  one counter for each policy, in the order of the entry
--       then, where the request is counted: the client's bucket, its usage counts, and how many new ones
-- ARGV  1     the entry
--       then, where the request is counted: 2 how many new usage counts of unregistered clients a bucket
--       takes in a minute; 3 the client's field in the bucket; 4, 5 the endpoint ("": one that nobody
--       registered) and the client, as they are counted; 6... kind, policy and how many, for each count
--
-- Returns 1; 2 where it was refunded and could not be counted, because the counts are damaged
-- (parts/usage.lua); 0 where the entry is not there, because it was refunded or committed: then nothing
-- changes and nothing is counted. So it may be called again.
--
-- Counter: see decide.lua. What others consumed meanwhile stays consumed: never more is refunded than
-- what is still missing of this request. The counter ends when it did before: a refund only makes it
-- matter less.

local pack, unpack, floor = struct.pack, struct.unpack, math.floor
local SLIDING_WINDOW, TOKEN_BUCKET, CALENDAR = 1, 2, 4
local RUN = '>I8I4'

local record = redis.call('HGET', KEYS[2], ARGV[1])
if not record then return 0 end
local consumed_at, cost, _, policies, place = unpack('>I8I4I2I2', record)
local consumed, key = record:sub(place, place + policies - 1), nil
place = place + policies
for index = 1, policies do
  key, place = unpack('>I2c0', record, place)
  if key ~= KEYS[2 + index] then return redis.error_reply('ERR entry of other counters') end
end
local rules = record:sub(place)

-- Runs are in order, and the first one that is not older holds the request; unless it left the count
-- before the last one came.
local function sliding_window(state, length)
  local left, used, at = cost, unpack('>I4', state)
  if unpack(RUN, state, #state - 11) >= consumed_at + length then return state end
  local runs = {}
  while at <= #state do
    local last, spent
    last, spent, at = unpack(RUN, state, at)
    if last >= consumed_at and left > 0 then
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
  -- What refilled since then is not missing any more.
  local missing = cost * per_token + floor(cost * per_token_rest / quota) - math.max(0, since - consumed_at)
  if missing < 0 then return state end
  used, rest = used - missing, rest - cost * per_token_rest % quota
  if rest < 0 then used, rest = used - 1, rest + quota end
  if used < 0 then used, rest = 0, 0 end
  return pack('>I8I8I4I4', since, used, rest, quota)
end

local function fixed_window(state, length, period_end)
  local since, ends, used = unpack('>I8I8I4', state)
  if ends ~= (period_end or consumed_at - consumed_at % length + length) then return state end
  return pack('>I8I8I4', since, ends, math.max(0, used - cost))
end

local after, at = {}, nil
_, _, _, _, _, at = unpack('>I2I8I8c1Bc0', rules)
for index = 1, policies do
  local _, limits
  _, limits, at = unpack('>BI2', rules, at)
  local by_section = {}
  for _ = 1, limits do
    local algorithm, span, quota, token_or_end, token_rest
    algorithm, span, quota, token_or_end, token_rest, _, _, at = unpack('>BI4I4I8I4I8I4', rules, at)
    by_section[algorithm .. ':' .. span] = {quota, token_or_end, token_rest}
  end
  local counter = consumed:sub(index, index) == '1' and redis.call('GET', KEYS[2 + index])
  if counter then
    local sections, from = {}, 1
    while from <= #counter do
      local algorithm, span, length
      algorithm, span, length, from = unpack('>BI4I2', counter, from)
      local state, rule = counter:sub(from, from + length - 1), by_section[algorithm .. ':' .. span]
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
    after[index] = table.concat(sections)
  end
end
local keys, bound, minute = 2 + policies, ARGV[2], floor(clock[1] / 60)

-- include: usage

local client = ARGV[3] and redis.pcall('HGET', KEYS[keys + 1], ARGV[3])
if type(client) ~= 'string' then client = nil end
for at_count = 6, #ARGV, 3 do
  count(keys, client, ARGV[at_count], ARGV[4], ARGV[at_count + 1], ARGV[5], tonumber(ARGV[at_count + 2]))
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
for index, counter in pairs(after) do
  redis.call('SET', KEYS[2 + index], counter, 'KEEPTTL')
end
return damage == 'all' and 2 or 1
