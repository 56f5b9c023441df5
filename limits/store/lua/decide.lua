local clock = redis.call('TIME')
-- Decides requests one after another, each over all limits of all its policies, all or nothing.
--
-- The line above is the only source of time, so that tests can load the script with another one.
-- It is the Redis server's clock; for each counter it is held at the counter's last time, since
-- the clocks of two masters differ after a failover.
--
-- For each request
-- KEYS  1     the client's bucket: a hash with `token`, `complete` and one field per client
--       2     the usage counts of the bucket: a hash
--       3     how many new ones it took in this minute
--       4...  one counter for each policy, in the order of the rules
--
-- For all requests
-- ARGV  1     the version token of the rules that the caller decides by
--       2     "count": consume what is admitted, and count the request; "take": only consume;
--             "look": neither
--       3     how many new usage counts of unregistered clients a bucket takes in a minute
-- For each request
-- ARGV  1     the client's field in the bucket
--       2     the head of the client's record that the caller decides by: its revision and a
--             space; "0 " where the client is known to be unregistered; "" for a guess
--       3     cost, 1 to 10^6
--       4     the rules, packed (store/packing.py): number of policies; from when until when this
--             holds, in microseconds since 1970, the end excluded; how the request is counted: "b"
--             as blocked, "e" as exempt, "a" as it is decided; the endpoint; for each policy its
--             mode (1: enforce, 0: shadow) and its number of limits; for each limit algorithm, span
--             (window in seconds; for a calendar a number for period and zone), quota, and four
--             more numbers: for a bucket the time to refill one token and the whole burst, each as
--             whole microseconds and a rest in 1 / quota of one; for a calendar the end of its
--             period, in microseconds; last the slug of each policy
--       5     the client, as it is counted
--
-- Returns for each request one of
--   packed: the store is complete, admitted, now; for each limit: admits, and four figures of its
--   state before this request (see the algorithms)
--   {1, token of the rules in the store}       the caller's rules are not those in force
--   {2, record or false}                       the caller's record is not the one in force
--   {3, now}                                   the rules do not hold at this time
--   {4}                                        not known here yet whether the client is registered
-- Only the first changes anything: counters where the request is admitted, usage always. The
-- others end the call: what comes after them is not decided, so that the order is kept.
--
-- Counter: for each limit of the policy `algorithm, span, length, state`. A limit finds its state
-- by algorithm and span, so that it never reads what another kind of limit wrote. The counter
-- expires when all its limits are as if never used, and two milliseconds later at the latest.
--
-- Doubles hold every number here exactly: times stay below 2^53 microseconds, costs below 10^9,
-- and a product of cost and rest below 10^15. Everything is read and checked before the first
-- write, because a script that fails is not rolled back.
--
-- Redis runs this whole text for every call, so a function or a table costs more here than what
-- it does: there are few (benchmarks/NOTES.md).

local pack, unpack, floor, ceil = struct.pack, struct.unpack, math.floor, math.ceil
local SLIDING_WINDOW, TOKEN_BUCKET, CALENDAR = 1, 2, 4

local now = clock[1] * 1000000 + clock[2]
local minute = floor(clock[1] / 60)
local token, verb, bound = ARGV[1], ARGV[2], ARGV[3]

-- include: section

-- Each algorithm is told where its state begins and stops in the counter (nil: never used). It
-- answers whether it admits; its state after the request, and until when that matters (where it
-- admits); and four figures of its state before.

-- include: sliding_window
-- include: token_bucket
-- include: fixed_window

local replies, keys, args = {}, 0, 3
while args < #ARGV do
  local rules, cost, client = ARGV[args + 4], tonumber(ARGV[args + 3]), ARGV[args + 5]
  local policies, valid_from, valid_until, kind, endpoint, at = unpack('>I2I8I8c1Bc0', rules)
  local bucket = redis.call('HMGET', KEYS[keys + 1], 'token', 'complete', ARGV[args + 1])
  local its_token, complete, record, held = bucket[1], bucket[2], bucket[3], ARGV[args + 2]
  local stale
  if its_token and its_token ~= token then
    stale = {1, its_token}
  elseif record and (held == '' or record:sub(1, #held) ~= held) then
    stale = {2, record}
  elseif not record and complete and held ~= '' and held ~= '0 ' then
    stale = {2, false}
  elseif not record and not complete and held == '' then
    stale = {4}
  elseif now < valid_from or now >= valid_until then
    stale = {3, now}
  end
  if stale then
    replies[#replies + 1] = stale
    break
  end

  local counters = policies > 0 and redis.call('MGET', _G.unpack(KEYS, keys + 4, keys + 3 + policies))
  local all_admit, admitted, readings = true, true, ''
  -- Of each policy: its counter after the request, and until when that matters (nil: it does not admit).
  local after, ends, modes = {nil, nil, nil, nil}, {nil, nil, nil, nil}, {nil, nil, nil, nil}
  local lengthened, crossed
  for index = 1, policies do
    local counter, admits, value, value_ends = counters[index], true, nil, 0
    local mode, limits
    mode, limits, at = unpack('>BI2', rules, at)
    for _ = 1, limits do
      local algorithm, span, quota, token_or_end, token_rest, burst, burst_rest
      algorithm, span, quota, token_or_end, token_rest, burst, burst_rest, at = unpack('>BI4I4I8I4I8I4', rules, at)
      local from, stop, admits_it, state, state_ends, a, b, c, d
      if counter then from, stop = section(counter, algorithm, span) end
      if algorithm == SLIDING_WINDOW then
        admits_it, state, state_ends, a, b, c, d =
          sliding_window(counter, from, stop, span, quota, cost)
      elseif algorithm == TOKEN_BUCKET then
        admits_it, state, state_ends, a, b, c, d =
          token_bucket(counter, from, span, quota, cost, token_or_end, token_rest, burst, burst_rest)
      else
        admits_it, state, state_ends, a, b, c, d =
          fixed_window(counter, from, algorithm, span, quota, cost, algorithm == CALENDAR and token_or_end)
      end
      readings = readings .. pack('>Bi8i8i8i8', admits_it and 1 or 0, a, b, c, d)
      if admits_it then
        value = value and value .. state or state
        if state_ends > value_ends then value_ends = state_ends end
        local used, capacity = a, quota
        if algorithm == TOKEN_BUCKET then
          -- In whole tokens, as a caller reads them: what is left is rounded down.
          local per_token = token_or_end + token_rest / quota
          used, capacity = ceil((a + b / quota) / per_token - 1e-4), floor((burst + burst_rest / quota) / per_token + 0.5)
        end
        if (used + cost) * 2 >= capacity and mode == 1 then
          crossed = crossed or {}
          for _, mark in ipairs({50, 80, 90, 100}) do
            if used * 100 < mark * capacity and (used + cost) * 100 >= mark * capacity then
              crossed[#crossed + 1] = {index, mark}
            end
          end
        end
      else
        admits = false
      end
    end
    after[index], ends[index], modes[index] = value, admits and value_ends, mode
    all_admit = all_admit and admits
    admitted = admitted and (admits or mode == 0)
    if reckoned_anew then
      lengthened = lengthened or {}
      lengthened[index], reckoned_anew = reckoned_anew, nil
    end
  end

  if verb == 'count' then
    if kind == 'a' and not admitted then kind = 'd' end
    local what = '\n' .. kind .. '\n' .. endpoint .. '\n\n'
    local is_new = redis.call('HINCRBY', KEYS[keys + 2], minute .. what .. client, 1) == 1
    if is_new or cost > 1 or crossed or not all_admit then
      -- include: usage
      if is_new then bound_new_count(keys, record, minute .. what .. client, what, client, 1) end
      if cost > 1 then count(keys, record, kind:upper(), endpoint, '', client, cost - 1) end
      local slugs = {}
      for index = 1, policies do
        slugs[index], at = unpack('Bc0', rules, at)
        if not ends[index] then
          count(keys, record, modes[index] == 1 and 'd' or 's', endpoint, slugs[index], client, 1)
        end
      end
      for _, each in ipairs(admitted and crossed or {}) do
        count(keys, record, each[2], endpoint, slugs[each[1]], client, 1)
      end
    end
  end
  for index = 1, policies do
    local key = KEYS[keys + 3 + index]
    if admitted and ends[index] and verb ~= 'look' then
      redis.call('SET', key, after[index], 'PX', ceil((ends[index] - now) / 1000) + 1)
    elseif lengthened and lengthened[index] and now + redis.call('PTTL', key) * 1000 < lengthened[index] then
      -- It lasts as long as the waits that are answered by the new quota.
      redis.call('PEXPIRE', key, ceil((lengthened[index] - now) / 1000) + 1)
    end
  end
  replies[#replies + 1] = pack('>BBI8', its_token and complete and 1 or 0, admitted and 1 or 0, now) .. readings
  keys, args = keys + 3 + policies, args + 5
end
return replies
