local clock = redis.call('TIME')
-- Decides requests one after another, each over all limits of all its policies, all or nothing.
--
-- The line above is the only source of time, so that tests can load the script with another one.
-- It is the Redis server's clock. What a counter notes may be a little ahead of it, by a 64th of the
-- window and a second at most, since the clocks of two masters differ after a failover: that stays as
-- it is. What is ahead by more was noted by a wrong clock, and is written anew as of now, whatever
-- becomes of the request: so it holds nobody back for longer than one window from then on.
--
-- For each request
-- KEYS  1     the client's bucket: a hash with `token`, `complete` and one field per client
--       2     the usage counts of the bucket: a hash
--       3     how many new ones it took in this minute
--       4...  one counter for each policy, in the order of the rules
-- For "consume", last: the bucket's pending entries, when each is overdue and what it holds. That is a
-- script of its own, with two parts more: an ordinary check does not pay for them.
--
-- For all requests
-- ARGV  1     the version token of the rules that the caller decides by
--       2     "count": consume what is admitted, and count the request; "consume": one
--             part of a request, consumed until the request is committed (parts/pending.lua), for one
--             request at a time; "look": neither
--       3     how many new usage counts of unregistered clients a bucket takes in a minute; for
--             "consume" the entry, packed: its name, for how many microseconds it may be pending,
--             and the number of the bucket where the request is committed
-- For each request
-- ARGV  1     the client's field in the bucket: "c:" and the client, as it is counted
--       2     the head of the client's record that the caller decides by: its revision and a
--             space; "0 " where the client is known to be unregistered; "" for a guess
--       3     cost, 1 to 10^6
--       4     the rules, packed ("": those of the request before; store/packing.py): number of policies; from when until when this
--             holds, in microseconds since 1970, the end excluded; how the request is counted: "b"
--             as blocked, "e" as exempt, "a" as it is decided; the endpoint; for each policy its
--             mode (1: enforce, 0: shadow) and its number of limits; for each limit algorithm, span
--             (window in seconds; for a calendar a number for period and zone), quota, and four
--             more numbers: for a bucket the time to refill one token and the whole burst, each as
--             whole microseconds and a rest in 1 / quota of one; for a calendar the end of its
--             period, in microseconds; last the slug of each policy
--
-- Returns for each request one of
--   packed: 1 where the store is complete, and 2 where this request could not be counted and 4 where a
--   count was damaged (parts/usage.lua), added up; admitted; now; for each limit: admits, and four
--   figures of its state before this request (see the algorithms)
--   {1, token of the rules in the store}       the caller's rules are not those in force
--   {2, record or false}                       the caller's record is not the one in force
--   {3, now}                                   the rules do not hold at this time
--   {4}                                        not known here yet whether the client is registered
--   {5, kind}                                  what this request is decided by is damaged
-- and after "consume", where it was decided, whether entries of the bucket are overdue (1 or 0).
-- Only the first changes anything: counters where the request is admitted, usage always. The
-- others end the call: what comes after them is not decided, so that the order is kept. Damaged
-- counters begin anew with the next request.
--
-- Counter: until when Redis keeps it, then for each limit of the policy its state; each of them as
-- `algorithm (0: until when), span, length, state`. A limit finds its state by algorithm and span, so
-- that it never reads what another kind of limit wrote. The counter expires when all its limits are as
-- if never used, and at most an eighth of that time later: so that most requests need not set it anew.
--
-- Doubles hold every number here exactly: times stay below 2^53 microseconds, costs below 10^9,
-- and a product of cost and rest below 10^15. Everything is read and checked before the first
-- write, because a script that fails is not rolled back. Others may write to these keys: a wrong type
-- or a state that is cut off is no error of the script.
--
-- Redis runs this whole text for every call. A function costs more where it stands than what it does,
-- and so does a table, or a number that becomes a string: there are few (benchmarks/NOTES.md). So
-- parts are blocks of code, which say what they find and what they leave.

local call, try, type, pack, unpack, floor, ceil = redis.call, redis.pcall, type, struct.pack, struct.unpack, math.floor, math.ceil
local SLIDING_WINDOW, TOKEN_BUCKET, CALENDAR = 1, 2, 4
local KEPT, KEPT_UNTIL = 0, '>BI4I2I8'
local NEVER = -1

local now = clock[1] * 1000000 + clock[2]
local token, verb = ARGV[1], ARGV[2]

local replies, keys, args, rules = {}, 0, 3, nil
while args < #ARGV do
  local client_field, held, cost = ARGV[args + 1], ARGV[args + 2], tonumber(ARGV[args + 3])
  if ARGV[args + 4] ~= '' then rules = ARGV[args + 4] end
  local policies, valid_from, valid_until, kind, endpoint, at = unpack('>I2I8I8c1Bc0', rules)
  local bucket = try('HMGET', KEYS[keys + 1], 'token', 'complete', client_field)
  local its_token, complete, record = bucket[1], bucket[2], bucket[3]
  local stale
  if bucket.err then
    if not bucket.err:find('WRONGTYPE', 1, true) then return bucket end
    stale = {5, 'client records'}
  elseif its_token and its_token ~= token then
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

  local admitted, readings = true, ''
  -- Of each policy: its counter after the request (nil: it does not admit).
  local after = {nil, nil, nil, nil}
  -- Of a few policies: until when Redis is to keep the counter, where it does not already; mode of those
  -- that do not admit; how long a counter that was reckoned anew matters; limits that the request takes
  -- over a mark.
  local keep_until, denied, lengthened, crossed
  -- Of even fewer: counters that were corrected, and those that are damaged.
  local corrected, damaged
  for index = 1, policies do
    local counter, admits, ends, matters_until = try('GET', KEYS[keys + 3 + index]), true, 0, 0
    local first, kept_until, value = 1, 0, ''
    local size, is_corrected, is_damaged = 0, false, false
    if counter then size = #counter end
    if counter and size < 15 then
      if counter.err and not counter.err:find('WRONGTYPE', 1, true) then return counter end
      counter, is_damaged = nil, true
    elseif counter then
      local head, _, _, its_end, following = unpack(KEPT_UNTIL, counter)
      if head == KEPT then first, kept_until, value = following, its_end, counter:sub(1, 15) end
    end
    local mode, limits
    mode, limits, at = unpack('>BI2', rules, at)
    for _ = 1, limits do
      local algorithm, span, quota, token_or_end, token_rest, burst, burst_rest
      algorithm, span, quota, token_or_end, token_rest, burst, burst_rest, at = unpack('>BI4I4I8I4I8I4', rules, at)
      local from, stop
      if counter then
        -- include: section
      end
      -- Each algorithm finds `from` and `stop`: where its state begins and stops in the counter (nil:
      -- never used). It leaves whether the limit admits, and if so its state after the request behind
      -- `value`, and until when that matters; and four figures of the state before.
      local admits_it, matters, a, b, c, d = false, 0, 0, 0, 0, 0
      if algorithm == SLIDING_WINDOW then
        -- include: sliding_window
      elseif algorithm == TOKEN_BUCKET then
        -- include: token_bucket
      else
        -- include: fixed_window
      end
      readings = readings .. pack('>Bi8i8i8i8', admits_it and 1 or 0, a, b, c, d)
      if admits_it then
        if matters > ends then ends = matters end
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
    if is_damaged then
      damaged = damaged or {}
      damaged[#damaged + 1] = index
    elseif is_corrected then
      corrected = corrected or {}
      corrected[index] = counter
    end
    if not admits then
      admitted = admitted and mode == 0
      denied = denied or {}
      denied[index] = mode
    elseif ends <= kept_until and kept_until - ends <= (ends - now) / 8 then
      after[index] = value
    else
      local until_then = ends + floor((ends - now) / 8)
      after[index] = pack(KEPT_UNTIL, KEPT, 0, 8, until_then) .. value:sub(first)
      keep_until = keep_until or {}
      keep_until[index] = until_then
    end
    if matters_until > 0 then
      lengthened = lengthened or {}
      lengthened[index] = matters_until
    end
  end

  if damaged then
    -- Which removes them.
    for _, index in ipairs(damaged) do call('PEXPIRE', KEYS[keys + 3 + index], 0) end
    replies[#replies + 1] = {5, 'counter'}
    break
  end

  local flags = its_token and complete and 1 or 0
  if verb == 'count' then
    if kind == 'a' and not admitted then kind = 'd' end
    local minute, client = floor(clock[1] / 60), client_field:sub(3)
    local field = minute .. '\n' .. kind .. '\n' .. endpoint .. '\n\n' .. client
    local many = try('HINCRBY', KEYS[keys + 2], field, '1')
    local is_new = many == 1
    if is_new or cost > 1 or crossed or denied or type(many) ~= 'number' then
      local bound = ARGV[3]
      -- include: usage
      if type(many) ~= 'number' then is_new = add(keys, field, 1) == 1 end
      if is_new then
        bound_new_count(keys, record, field, '\n' .. kind .. '\n' .. endpoint .. '\n\n', client, 1)
      end
      if cost > 1 then count(keys, record, kind:upper(), endpoint, '', client, cost - 1) end
      local slugs = {}
      for index = 1, policies do
        slugs[index], at = unpack('Bc0', rules, at)
        if denied and denied[index] and (admitted or denied[index] == 1) then
          count(keys, record, denied[index] == 1 and 'd' or 's', endpoint, slugs[index], client, 1)
        end
      end
      for _, each in ipairs(admitted and crossed or {}) do
        count(keys, record, each[2], endpoint, slugs[each[1]], client, 1)
      end
      if damage == 'all' then flags = flags + 2 elseif damage then flags = flags + 4 end
    end
  end
  -- consume: pending
  for index = 1, policies do
    local key = KEYS[keys + 3 + index]
    if admitted and after[index] and verb ~= 'look' then
      if keep_until and keep_until[index] then
        call('SET', key, after[index], 'PX', ceil((keep_until[index] - now) / 1000) + 1)
      else
        call('SET', key, after[index], 'KEEPTTL')
      end
    else
      if corrected and corrected[index] then call('SET', key, corrected[index], 'KEEPTTL') end
      if lengthened and lengthened[index] and now + call('PTTL', key) * 1000 < lengthened[index] then
        -- It lasts as long as the waits that are answered by the new quota.
        call('PEXPIRE', key, ceil((lengthened[index] - now) / 1000) + 1)
      end
    end
  end
  replies[#replies + 1] = pack('>BBI8', flags, admitted and 1 or 0, now) .. readings
  -- consume: overdue
  keys, args = keys + 3 + policies, args + 4
end
return replies
