local clock = redis.call('TIME')
-- Decides one request over all limits of all its policies, all or nothing.
--
-- The line above is the only source of time, so that tests can load the script with another one.
-- It is the Redis server's clock; for each counter it is held at the counter's last time, since
-- the clocks of two masters differ after a failover.
--
-- KEYS  1      the client's bucket: a hash with `token`, `complete` and one field per client
--       2      the usage counts of the bucket: a hash
--       3...   one counter for each policy, in the order of the rules
-- ARGV  1      the version token of the rules that the caller decides by
--       2      the client's field in the bucket
--       3      the head of the client's record that the caller decides by: its revision and a
--              space; "0 " where the client is known to be unregistered; "" for a guess
--       4      cost, 1 to 10^6
--       5      "1": consume what is admitted, and count the request; "0": only look
--       6, 7   from when until when the rules below hold for this client, in microseconds since
--              1970, the end excluded ("": open)
--       8      the rules, packed big-endian: for each policy its mode (1: enforce, 0: shadow) and
--              its number of limits; for each limit algorithm, window in seconds, quota, and for a
--              bucket the time to refill one token and the whole burst, each as whole microseconds
--              and a rest in 1 / quota of one
--       9      how the request is counted: "b" as blocked, "e" as exempt, "" as it is decided
--       10     how many new usage counts of unregistered clients this bucket takes in a minute
--       11, 12 the endpoint ("": one that nobody registered) and the client, as they are counted
--       13...  the slug of each policy, in the order of the rules
--
-- Returns one of
--   {0, store is complete, admitted, then for each limit: admits, four figures}
--   {1, token of the rules in the store}       the caller's rules are not those in force
--   {2, record or false}                       the caller's record is not the one in force
--   {3, now}                                   the rules do not hold at this time
--   {4}                                        not known here yet whether the client is registered
-- Only the first changes anything: counters where the request is admitted, usage always.
--
-- Counter: for each limit of the policy `algorithm, window, length, payload`. A limit finds its
-- state by algorithm and window, so that it never reads what another kind of limit wrote.
--   sliding window: total cost, then runs (time of the last request, cost), oldest first
--   token bucket:   time, time until full (whole, rest), the quota it was reckoned with
-- It expires when all its limits are as if never used, and one millisecond later at the latest.
--
-- Usage: `minute, kind, endpoint, policy, client`, one in a line → how many. Kinds: a admitted,
-- d denied, b blocked, e exempt, with an empty policy, and in capitals what the requests cost beyond
-- 1 each; d and s with a policy: it denied, or would have denied in shadow mode. The hash does not
-- expire: the drain takes it away as a whole. Beyond ARGV 10 new counts in a minute (which the bucket
-- remembers as `counted`, over drains), an unregistered client is counted without its name; beyond
-- eight times as many that wait, nobody drains, and hours stand for minutes.
--
-- Doubles hold every number here exactly: times stay below 2^53 microseconds, costs below 10^9,
-- and a product of cost and rest below 10^15. Everything is read and checked before the first
-- write, because a script that fails is not rolled back.

local pack, unpack, floor = struct.pack, struct.unpack, math.floor
local NEVER = -1
local SLIDING_WINDOW, TOKEN_BUCKET = 1, 2
local EXACT_RUNS, CELLS = 64, 64
local RUN, RUN_SIZE, TOTAL_SIZE = '>I8I4', 12, 4

local now = clock[1] * 1000000 + clock[2]
local cost = tonumber(ARGV[4])

local minute = floor(clock[1] / 60)

local bucket = redis.call('HMGET', KEYS[1], 'token', 'complete', ARGV[2], 'counted')

local function staleness()
  local token, complete, record, held = bucket[1], bucket[2], bucket[3], ARGV[3]
  if token and token ~= ARGV[1] then
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
  if (ARGV[6] ~= '' and now < tonumber(ARGV[6])) or (ARGV[7] ~= '' and now >= tonumber(ARGV[7])) then
    return {3, now}
  end
  return nil, token and complete
end

local function payload_of(counter, algorithm, window)
  local at, size = 1, counter and #counter or 0
  while at <= size do
    local kind, seconds, length
    kind, seconds, length, at = unpack('>BI4I2', counter, at)
    if kind == algorithm and seconds == window then
      return string.sub(counter, at, at + length - 1)
    end
    at = at + length
  end
  return nil
end

local sliding_window = {}

function sliding_window.read(limit, payload)
  local runs, used = '', 0
  limit.span = limit.window * 1000000
  if payload then
    used = unpack('>I4', payload)
    limit.now = math.max(now, (unpack(RUN, payload, #payload - RUN_SIZE + 1)))
    local at = TOTAL_SIZE + 1
    while at <= #payload do
      local last, spent, next_at = unpack(RUN, payload, at)
      if last + limit.span > limit.now then break end
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
    local cell = limit.span / CELLS
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
      return last + limit.span - limit.now
    end
  end
  return NEVER
end

function sliding_window.reset(limit)
  if limit.runs == '' then return 0 end
  return unpack(RUN, limit.runs, #limit.runs - RUN_SIZE + 1) + limit.span - limit.now
end

function sliding_window.figures(limit)
  local over = limit.used - limit.quota
  local next_capacity = wait_for(limit, math.max(1, over + 1))
  local retry = limit.admits and 0 or wait_for(limit, over + cost)
  return limit.used, next_capacity, sliding_window.reset(limit), retry
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

local ALGORITHMS = {[SLIDING_WINDOW] = sliding_window, [TOKEN_BUCKET] = token_bucket}

local function read_limit(rules, at, counter)
  local limit = {now = now}
  limit.kind, limit.window, limit.quota, limit.token, limit.token_rest, limit.burst, limit.burst_rest, at =
    unpack('>BI4I4I8I4I8I4', rules, at)
  limit.algorithm = ALGORITHMS[limit.kind]
  limit.algorithm.read(limit, payload_of(counter, limit.kind, limit.window))
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
    sections[position] = pack('>BI4I2', limit.kind, limit.window, #payload) .. payload
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
  return field, redis.call('HINCRBY', KEYS[2], field, by)
end

-- Returns how many new counts this minute has had by then.
local function count(new_counts, kind, policy, by)
  local what = kind .. '\n' .. ARGV[11] .. '\n' .. policy .. '\n'
  local field, total = add(minute, what, ARGV[12], by)
  if total ~= by then return new_counts end
  local bound, registered = tonumber(ARGV[10]), string.find(bucket[3] or '', '{', 1, true)
  if redis.call('HLEN', KEYS[2]) > 8 * bound then
    redis.call('HDEL', KEYS[2], field)
    add(minute - minute % 60, what, registered and ARGV[12] or '', by)
  elseif new_counts >= bound and not registered then
    redis.call('HDEL', KEYS[2], field)
    add(minute, what, '', by)
  else
    return new_counts + 1
  end
  return new_counts
end

local function count_request(policies, admitted)
  local before = counted_in_this_minute()
  local kind = ARGV[9] ~= '' and ARGV[9] or admitted and 'a' or 'd'
  local after = count(before, kind, '', 1)
  if cost > 1 then after = count(after, string.upper(kind), '', cost - 1) end
  for index, policy in ipairs(policies) do
    if not policy.admits then
      after = count(after, policy.enforced == 1 and 'd' or 's', ARGV[12 + index], 1)
    end
  end
  if after > before then
    redis.call('HSET', KEYS[1], 'counted', minute .. ' ' .. after)
  end
end

local stale, complete = staleness()
if stale then return stale end

local counters = #KEYS > 2 and redis.call('MGET', select(3, _G.unpack(KEYS))) or {}
local policies, admitted = read_policies(ARGV[8], counters)
if ARGV[5] == '1' then
  count_request(policies, admitted)
  for index, policy in ipairs(policies) do
    if admitted and policy.admits then write(KEYS[index + 2], policy) end
  end
end

local reply = {0, complete and 1 or 0, admitted and 1 or 0}
for _, policy in ipairs(policies) do
  for _, limit in ipairs(policy) do
    local size = #reply
    reply[size + 1] = limit.admits and 1 or 0
    reply[size + 2], reply[size + 3], reply[size + 4], reply[size + 5] = limit.algorithm.figures(limit)
  end
end
return reply
