local clock = redis.call('TIME')
-- Decides requests one after another, each over all limits of all its policies, all or nothing.
--
-- The line above is the only source of time, so that tests can load the script with another one.
-- It is the Redis server's clock; for each counter it is held at the counter's last time, since
-- the clocks of two masters differ after a failover.
--
-- For each request
-- KEYS  1      the client's bucket: a hash with `token`, `complete` and one field per client
--       2      the usage counts of the bucket: a hash
--       3...   one counter for each policy, in the order of the rules
-- ARGV  1      the number of policies
--       2      the version token of the rules that the caller decides by
--       3      the client's field in the bucket
--       4      the head of the client's record that the caller decides by: its revision and a
--              space; "0 " where the client is known to be unregistered; "" for a guess
--       5      cost, 1 to 10^6
--       6      "1": consume what is admitted, and count the request; "0": only look
--       7, 8   from when until when the rules below hold for this client, in microseconds since
--              1970, the end excluded ("": open)
--       9      the rules, packed big-endian: for each policy its mode (1: enforce, 0: shadow) and
--              its number of limits; for each limit algorithm, span (window in seconds; for a
--              calendar a number for period and zone), quota, and four more numbers: for a bucket
--              the time to refill one token and the whole burst, each as whole microseconds and a
--              rest in 1 / quota of one; for a calendar the end of its period, in microseconds
--       10     how the request is counted: "b" as blocked, "e" as exempt, "" as it is decided
--       11     how many new usage counts of unregistered clients this bucket takes in a minute
--       12, 13 the endpoint ("": one that nobody registered) and the client, as they are counted
--       14...  the slug of each policy, in the order of the rules
--
-- Returns for each request one of
--   {0, store is complete, admitted, then for each limit: admits, four figures}
--   {1, token of the rules in the store}       the caller's rules are not those in force
--   {2, record or false}                       the caller's record is not the one in force
--   {3, now}                                   the rules do not hold at this time
--   {4}                                        not known here yet whether the client is registered
-- Only the first changes anything: counters where the request is admitted, usage always. The
-- others end the call: what comes after them is not decided, so that the order is kept.
--
-- Counter: for each limit of the policy `algorithm, span, length, payload`. A limit finds its
-- state by algorithm and span, so that it never reads what another kind of limit wrote.
--   sliding window: total cost, then runs (time of the last request, cost), oldest first
--   token bucket:   time, time until full (whole, rest), the quota it was reckoned with
--   fixed window, calendar: time, end of the window, cost
-- It expires when all its limits are as if never used, and one millisecond later at the latest.
--
-- Usage: `minute, kind, endpoint, policy, client`, one in a line → how many. Kinds: a admitted,
-- d denied, b blocked, e exempt, with an empty policy, and in capitals what the requests cost beyond
-- 1 each; d and s with a policy: it denied, or would have denied in shadow mode; 50, 80, 90 and 100 with
-- a policy that enforces: the request took a limit of it over that many hundredths. The hash does not
-- expire: the drain takes it away as a whole. Beyond ARGV 11 new counts in a minute (which the bucket
-- remembers as `counted`, over drains), an unregistered client is counted without its name; beyond
-- eight times as many that wait, nobody drains, and hours stand for minutes.
--
-- Doubles hold every number here exactly: times stay below 2^53 microseconds, costs below 10^9,
-- and a product of cost and rest below 10^15. Everything is read and checked before the first
-- write, because a script that fails is not rolled back.

local pack, unpack, floor = struct.pack, struct.unpack, math.floor
local NEVER = -1
local SLIDING_WINDOW, TOKEN_BUCKET, FIXED_WINDOW, CALENDAR = 1, 2, 3, 4
local EXACT_RUNS, CELLS = 64, 64
local MARKS = {50, 80, 90, 100}
local RUN, RUN_SIZE, TOTAL_SIZE = '>I8I4', 12, 4

local now = clock[1] * 1000000 + clock[2]
local minute = floor(clock[1] / 60)

-- Of the request in hand: where its keys and arguments begin (less one), its cost, its bucket.
local keys, args, cost, bucket = 0, 0, 0, nil

local function staleness()
  local token, complete, record, held = bucket[1], bucket[2], bucket[3], ARGV[args + 4]
  local valid_from, valid_until = ARGV[args + 7], ARGV[args + 8]
  if token and token ~= ARGV[args + 2] then
    return {1, token}
  end
  if record then
    if held == '' or string.sub(record, 1, #held) ~= held then
      return {2, record}
    end
  elseif complete then
    if held ~= '' and held ~= '0 ' then
      return {2, false}
    end
  elseif held == '' then
    return {4}
  end
  if (valid_from ~= '' and now < tonumber(valid_from)) or (valid_until ~= '' and now >= tonumber(valid_until)) then
    return {3, now}
  end
  return nil, token and complete
end

local function payload_of(counter, algorithm, span)
  local at, size = 1, counter and #counter or 0
  while at <= size do
    local kind, code, length
    kind, code, length, at = unpack('>BI4I2', counter, at)
    if kind == algorithm and code == span then
      return string.sub(counter, at, at + length - 1)
    end
    at = at + length
  end
  return nil
end

local sliding_window = {}

function sliding_window.read(limit, payload)
  local runs, used = '', 0
  limit.length = limit.span * 1000000
  if payload then
    used = unpack('>I4', payload)
    limit.now = math.max(now, (unpack(RUN, payload, #payload - RUN_SIZE + 1)))
    local at = TOTAL_SIZE + 1
    while at <= #payload do
      local last, spent, next_at = unpack(RUN, payload, at)
      if last + limit.length > limit.now then break end
      used, at = used - spent, next_at
    end
    runs = string.sub(payload, at)
  end
  limit.runs, limit.used = runs, used
  limit.admits = used + cost <= limit.quota
end

function sliding_window.consume(limit)
  local runs, added = limit.runs, cost
  if #runs >= EXACT_RUNS * RUN_SIZE then
    local cell = limit.length / CELLS
    local last, spent = unpack(RUN, runs, #runs - RUN_SIZE + 1)
    if floor(last / cell) == floor(limit.now / cell) then
      runs, added = string.sub(runs, 1, -RUN_SIZE - 1), added + spent
    end
  end
  limit.runs, limit.used = runs .. pack(RUN, limit.now, added), limit.used + cost
end

function sliding_window.payload(limit)
  return pack('>I4', limit.used) .. limit.runs
end

-- How long until at least `need` of the cost has left the count.
local function wait_for(limit, need)
  if need <= 0 then return 0 end
  local runs, at, freed = limit.runs, 1, 0
  while at <= #runs do
    local last, spent
    last, spent, at = unpack(RUN, runs, at)
    freed = freed + spent
    if freed >= need then
      return last + limit.length - limit.now
    end
  end
  return NEVER
end

function sliding_window.reset(limit)
  if limit.runs == '' then return 0 end
  return unpack(RUN, limit.runs, #limit.runs - RUN_SIZE + 1) + limit.length - limit.now
end

function sliding_window.figures(limit)
  local over = limit.used - limit.quota
  local next_capacity = wait_for(limit, math.max(1, over + 1))
  local retry = limit.admits and 0 or wait_for(limit, over + cost)
  return limit.used, next_capacity, sliding_window.reset(limit), retry
end

-- What is used before the request and after it, and of how much.
function sliding_window.share(limit)
  return limit.used, limit.used + cost, limit.quota
end

local token_bucket = {}

local function is_longer(whole, rest, other_whole, other_rest)
  return whole > other_whole or (whole == other_whole and rest > other_rest)
end

function token_bucket.read(limit, payload)
  local used, rest = 0, 0
  if payload then
    local at, quota
    at, used, rest, quota = unpack('>I8I8I4I4', payload)
    limit.now = math.max(now, at)
    used = used - (limit.now - at)
    if used < 0 then used, rest = 0, 0 end
    if quota ~= limit.quota and limit.quota > 0 then
      used, rest = math.ceil(used * quota / limit.quota + rest / limit.quota), 0
    end
  end
  if is_longer(used, rest, limit.burst, limit.burst_rest) then
    used, rest = limit.burst, limit.burst_rest
  end
  limit.used, limit.rest = used, rest
  if limit.quota > 0 then
    rest = rest + cost * limit.token_rest
    limit.then_used = used + cost * limit.token + floor(rest / limit.quota)
    limit.then_rest = rest % limit.quota
  end
  limit.admits = limit.quota > 0
    and not is_longer(limit.then_used, limit.then_rest, limit.burst, limit.burst_rest)
end

function token_bucket.consume(limit)
  limit.used, limit.rest = limit.then_used, limit.then_rest
end

function token_bucket.payload(limit)
  return pack('>I8I8I4I4', limit.now, limit.used, limit.rest, limit.quota)
end

function token_bucket.reset(limit)
  return limit.used + (limit.rest > 0 and 1 or 0)
end

function token_bucket.figures(limit)
  return limit.used, limit.rest, 0, 0
end

-- In whole tokens, as a caller reads them: what is left is rounded down, so what is used is rounded up.
function token_bucket.share(limit)
  local token = limit.token + limit.token_rest / limit.quota
  local used = (limit.used + limit.rest / limit.quota) / token
  local then_used = (limit.then_used + limit.then_rest / limit.quota) / token
  local capacity = (limit.burst + limit.burst_rest / limit.quota) / token
  return math.ceil(used - 1e-4), math.ceil(then_used - 1e-4), floor(capacity + 0.5)
end

local fixed_window = {share = sliding_window.share}

function fixed_window.read(limit, payload)
  local used, ends = 0, 0
  if payload then
    local at
    at, ends, used = unpack('>I8I8I4', payload)
    limit.now = math.max(now, at)
  end
  if limit.now >= ends then
    local length = limit.span * 1000000
    -- The end of a calendar's period travels where a bucket has the time of its token.
    used, ends = 0, limit.kind == CALENDAR and limit.token or limit.now - limit.now % length + length
  end
  limit.used, limit.ends = used, ends
  limit.admits = used + cost <= limit.quota
end

function fixed_window.consume(limit)
  limit.used = limit.used + cost
end

function fixed_window.payload(limit)
  return pack('>I8I8I4', limit.now, limit.ends, limit.used)
end

function fixed_window.reset(limit)
  return limit.used > 0 and limit.ends - limit.now or 0
end

function fixed_window.figures(limit)
  local rest = limit.ends - limit.now
  local next_capacity = limit.used > 0 and limit.quota > 0 and rest or NEVER
  local retry = limit.admits and 0 or cost <= limit.quota and rest or NEVER
  return limit.used, next_capacity, fixed_window.reset(limit), retry
end

local ALGORITHMS = {
  [SLIDING_WINDOW] = sliding_window,
  [TOKEN_BUCKET] = token_bucket,
  [FIXED_WINDOW] = fixed_window,
  [CALENDAR] = fixed_window,
}

local function read_limit(rules, at, counter)
  local limit = {now = now}
  limit.kind, limit.span, limit.quota, limit.token, limit.token_rest, limit.burst, limit.burst_rest, at =
    unpack('>BI4I4I8I4I8I4', rules, at)
  limit.algorithm = ALGORITHMS[limit.kind]
  limit.algorithm.read(limit, payload_of(counter, limit.kind, limit.span))
  return limit, at
end

local function read_policies(rules, counters)
  local policies, admitted, at = {}, true, 1
  for index = 1, #counters do
    local enforced, count
    enforced, count, at = unpack('>BB', rules, at)
    local policy = {admits = true, enforced = enforced}
    for position = 1, count do
      policy[position], at = read_limit(rules, at, counters[index])
      policy.admits = policy.admits and policy[position].admits
    end
    policies[index] = policy
    admitted = admitted and (policy.admits or enforced == 0)
  end
  return policies, admitted
end

local function write(key, policy)
  local sections, expires_after = {}, 0
  for position, limit in ipairs(policy) do
    limit.algorithm.consume(limit)
    local payload = limit.algorithm.payload(limit)
    sections[position] = pack('>BI4I2', limit.kind, limit.span, #payload) .. payload
    expires_after = math.max(expires_after, limit.now + limit.algorithm.reset(limit) - now)
  end
  redis.call('SET', key, table.concat(sections), 'PX', math.ceil(expires_after / 1000) + 1)
end

local function counted_in_this_minute()
  local at, number = string.match(bucket[4] or '', '^(%d+) (%d+)$')
  return tonumber(at) == minute and tonumber(number) or 0
end

local function add(moment, what, client, by)
  local field = moment .. '\n' .. what .. client
  return field, redis.call('HINCRBY', KEYS[keys + 2], field, by)
end

-- Returns how many new counts this minute has had by then.
local function count(new_counts, kind, policy, by)
  local what = kind .. '\n' .. ARGV[args + 12] .. '\n' .. policy .. '\n'
  local client = ARGV[args + 13]
  local field, total = add(minute, what, client, by)
  if total ~= by then return new_counts end
  local bound, registered = tonumber(ARGV[args + 11]), string.find(bucket[3] or '', '{', 1, true)
  if redis.call('HLEN', KEYS[keys + 2]) > 8 * bound then
    redis.call('HDEL', KEYS[keys + 2], field)
    add(minute - minute % 60, what, registered and client or '', by)
  elseif new_counts >= bound and not registered then
    redis.call('HDEL', KEYS[keys + 2], field)
    add(minute, what, '', by)
  else
    return new_counts + 1
  end
  return new_counts
end

local function count_crossings(new_counts, policy, slug)
  for _, limit in ipairs(policy) do
    local before, after, capacity = limit.algorithm.share(limit)
    if after * 100 >= MARKS[1] * capacity then
      for _, mark in ipairs(MARKS) do
        if before * 100 < mark * capacity and after * 100 >= mark * capacity then
          new_counts = count(new_counts, mark, slug, 1)
        end
      end
    end
  end
  return new_counts
end

local function count_request(policies, admitted)
  local before = counted_in_this_minute()
  local kind = ARGV[args + 10]
  if kind == '' then kind = admitted and 'a' or 'd' end
  local after = count(before, kind, '', 1)
  if cost > 1 then after = count(after, string.upper(kind), '', cost - 1) end
  for index, policy in ipairs(policies) do
    local slug = ARGV[args + 13 + index]
    if not policy.admits then
      after = count(after, policy.enforced == 1 and 'd' or 's', slug, 1)
    elseif admitted and policy.enforced == 1 then
      after = count_crossings(after, policy, slug)
    end
  end
  if after > before then
    redis.call('HSET', KEYS[keys + 1], 'counted', minute .. ' ' .. after)
  end
end

local function reply_of(complete, policies, admitted)
  local reply = {0, complete and 1 or 0, admitted and 1 or 0}
  for _, policy in ipairs(policies) do
    for _, limit in ipairs(policy) do
      local size = #reply
      reply[size + 1] = limit.admits and 1 or 0
      reply[size + 2], reply[size + 3], reply[size + 4], reply[size + 5] = limit.algorithm.figures(limit)
    end
  end
  return reply
end

local function decide(count_of_policies)
  cost = tonumber(ARGV[args + 5])
  bucket = redis.call('HMGET', KEYS[keys + 1], 'token', 'complete', ARGV[args + 3], 'counted')
  local stale, complete = staleness()
  if stale then return stale end

  local counters = {}
  if count_of_policies > 0 then
    counters = redis.call('MGET', _G.unpack(KEYS, keys + 3, keys + 2 + count_of_policies))
  end
  local policies, admitted = read_policies(ARGV[args + 9], counters)
  if ARGV[args + 6] == '1' then
    count_request(policies, admitted)
    for index, policy in ipairs(policies) do
      if admitted and policy.admits then write(KEYS[keys + 2 + index], policy) end
    end
  end
  return reply_of(complete, policies, admitted)
end

local replies = {}
while args < #ARGV do
  local count_of_policies = tonumber(ARGV[args + 1])
  local reply = decide(count_of_policies)
  replies[#replies + 1] = reply
  if reply[1] ~= 0 then break end
  keys, args = keys + 2 + count_of_policies, args + 13 + count_of_policies
end
return replies
