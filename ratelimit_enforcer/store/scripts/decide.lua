-- Decides requests one after another. Every limit of every policy must admit a request, or nothing is consumed.
--
-- The clock is the Redis server's. The times in a counter may be slightly ahead of it, by 1/64 of the
-- window and at most a second, because the clocks of two masters differ after a failover: they remain
-- unchanged. Times further ahead were written with a wrong clock and are set to now, even if the request
-- is denied: so they block no client for longer than one window from then on.
--
-- For each request
-- KEYS  1     the client's shard: a hash with `token`, `complete` and one field per client
--       2     the usage counts of the shard: a hash
--       3     the number of new usage counts in the shard in this minute
--       4...  one counter for each policy, in the order of the rules; then for each policy that counts values of
--             attributes separately the key that counts new values, or the counter itself if the values are counted
--             under (other), and for each policy with grants the key with what is consumed of them
-- Variants of the script have additional parts, so that an ordinary check does not pay for them: for clients below a
-- parent, whose shard is that of their root (lines that begin with "-- tree:"); for clients with grants
-- ("-- grants:", in addition to one of the others); for "consume" ("-- consume:"); and for requests whose cost may be
-- settled later ("-- reserve:"). The last two share what a settlement needs to know
-- ("-- marked:"), and have further keys after those above: for "consume" the shard's pending entries (when each is
-- overdue, and its content); then the record of the reservation, the unsettled reservations of the client and of the
-- shard, and the places of each policy with a concurrency limit.
--
-- For all requests
-- ARGV  1     the version token of the caller's rules
--       2     "count": consume admitted requests, and count every request; "consume": consume one part
--             of a request, pending until the request is committed (parts/pending.lua), for one
--             request at a time; "look": neither
--       3     how many new usage counts of unregistered clients a shard accepts per minute; for
--             "consume" packed: the name of the entry, for how many microseconds it may be pending,
--             the number of the shard where the request is committed, and how many new usage counts
-- For each request
-- ARGV  1     the client's field in the shard: "c:" and the client, as it is counted
--       2     the head of the caller's client record: its revision and a space; "0 " if the client is
--             known to be unregistered; "" if the caller does not know
--       3     cost, 1 to 10^6
--       4     the rules, packed ("": those of the request before; scripts/packing.py): number of
--             policies; start and end of the validity, in microseconds since 1970, the end excluded;
--             the kind under which the request is counted if it is admitted (parts/kinds.lua); the
--             endpoint; for each policy its mode (plus 2 if it counts values of attributes separately) and its
--             number of limits, and then also how many values, and its window in seconds; for each limit algorithm,
--             window (in seconds; for a calendar limit a number for period and zone), quota, and four more
--             numbers: for a token bucket the time to refill one token and the time to refill the whole
--             burst, each as whole microseconds and a rest in 1 / quota of one; for a calendar limit the
--             end of its period, in microseconds, and whether it admits beyond its quota (1; 2: and the
--             policy counts these units), and the number of its grants, which follow: id, amount and end of
--             each, in the order in which they are consumed; last, the slug of each policy
-- In the variant for clients below a parent, for each request also
-- ARGV  5...10  for each of three ancestors, from the parent up, its field in the shard and the head of its record,
--             as above; "" for those that the client does not have. The mode of an ancestor's policy has 4 added
--             for each level above the client.
-- In the variants for "consume" and for requests whose cost may be settled, for each request also
-- ARGV  11    packed: why the cost may be settled (parts/codes.lua); the index of the first of its further keys; for how
--             many microseconds it is refundable; the least cost to reserve; the maximum number of unsettled
--             reservations of the client; the name of the reservation, 128 bits; for the first part of a request in
--             parts the id of the request and the shards of the others
--
-- Returns for each request one of
--   packed: flags (1 if the store is complete, plus 2 if this request could not be counted, plus 4 if a
--   count was damaged; see parts/usage.lua); admitted; now; for each limit a reading: whether it admits,
--   and four figures of its state before this request (see the algorithms)
--   {1, token of the rules in the store}       the caller's rules are not those in force
--   {2, record or false, ...}                  the caller's record is not the one in force, or that of an
--                                              ancestor: then followed by those of all three
--   {3, now}                                   the rules are not valid at this time
--   {4}                                        whether the client is registered is not known here yet
--   {5, kind}                                  data that this request depends on is damaged
--   {7, record}                                the reservation or charge was made before
--   {6, position}                              the policy at this position counts no further value separately
-- For a request whose cost may be settled, the first is {7, packed, cost decided, 1 if it may be settled, until when it
-- is refundable}; flags then have 8 added if the client has too many unsettled reservations.
-- And after "consume", if it was decided, whether entries of the shard are overdue (1 or 0).
-- Only the first changes anything: counters if the request is admitted, usage always. The others
-- end the call: the requests after it are not decided, so that the order is preserved. Damaged
-- counters are removed, and the next request starts new ones.
--
-- Counter: the time at which it expires, then for each limit of the policy its state; each of them as
-- `algorithm (0: the expiry), window, length, state`. A limit finds its state by algorithm and window, so
-- that it never reads the state of another kind of limit. The counter expires when all its limits are as
-- if never used, or later by at most an eighth of that time: so most requests need not change the expiry.
--
-- Doubles represent every number here exactly: times stay below 2^53 microseconds, costs below 10^9,
-- and a product of cost and rest below 10^15. Everything is read and checked before the first
-- write, because a script that fails is not rolled back. Other programs may write to these keys: a wrong
-- type or a truncated state does not make the script fail.
--
-- The script is a sequence of sections, each with a header that says what it reads and what it sets for later
-- sections. They are not functions, because Redis runs this whole text for every call: creating the smallest of
-- them costs 1 to 3 % of a check, all four parts 7 to 10 % (benchmarks/NOTES.md). Creating a table and converting a
-- number to a string are expensive too, so there are few.

-- include: clock
-- include: codes
-- include: kinds
-- include: policy_kinds

local call, try, type, pack, unpack = redis.call, redis.pcall, type, struct.pack, struct.unpack
local floor, ceil = math.floor, math.ceil
local EXPIRY_CODE, EXPIRY, EXPIRY_SIZE = 0, '>BI4I2I8', 15
local READING = '>Bi8i8i8i8'

local now = clock[1] * 1000000 + clock[2]
local token, verb = ARGV[1], ARGV[2]

-- The keys and the arguments of a request follow those of the requests before it.
local replies, key_offset, argument_offset, rules = {}, 0, 3, nil
while argument_offset < #ARGV do
  local client_field, revision = ARGV[argument_offset + 1], ARGV[argument_offset + 2]
  local cost = tonumber(ARGV[argument_offset + 3])
  if ARGV[argument_offset + 4] ~= '' then rules = ARGV[argument_offset + 4] end
  local policies, valid_from, valid_until, kind, endpoint, rules_at = unpack('>I2I8I8c1Bc0', rules)

  -- include: in_force
  -- tree: ancestors
  -- marked: settleable
  -- marked: sorted_sets
  -- marked: known
  if reply then
    replies[#replies + 1] = reply
    break
  end

  -- include: counters

  -- SECTION: usage counts
  -- Reads  verb, kind, endpoint, client_field, record, cost, admitted, denying_modes, thresholds_reached; the
  --        slugs in rules, from rules_at
  -- Sets   flags
  -- Why    the functions of parts/usage.lua are created only for a request that needs more than one HINCRBY
  local flags = token_in_force and complete and COMPLETE or 0
  -- reserve: bound
  if verb == 'count' then
    if kind == ADMITTED and not admitted then kind = DENIED end
    local minute, client = floor(clock[1] / 60), client_field:sub(3)
    local field = minute .. '\n' .. kind .. '\n' .. endpoint .. '\n\n' .. client
    local total = try('HINCRBY', KEYS[key_offset + 2], field, '1')
    local is_new, counts_more = total == 1, cost > 1 or thresholds_reached or denying_modes or type(total) ~= 'number'
    -- reserve: counts_more
    if is_new or counts_more then
      local max_new_counts = ARGV[3]
      -- include: usage
      if type(total) ~= 'number' then is_new = add(key_offset, field, 1) == 1 end
      if is_new then
        bound_new_count(key_offset, record, field, '\n' .. kind .. '\n' .. endpoint .. '\n\n', client, 1)
      end
      if cost > 1 then count(key_offset, record, kind:upper(), endpoint, '', client, cost - 1) end
      local slugs = {}
      for index = 1, policies do
        slugs[index], rules_at = unpack('Bc0', rules, rules_at)
        local denying_mode = denying_modes and denying_modes[index]
        -- tree: once
        if denying_mode == ENFORCE then
          count(key_offset, record, POLICY_DENIED, endpoint, slugs[index], client, 1)
        elseif denying_mode and admitted then
          count(key_offset, record, POLICY_WOULD_DENY, endpoint, slugs[index], client, 1)
        end
      end
      for _, reached in ipairs(admitted and thresholds_reached or {}) do
        local subject = client
        -- tree: subject
        if not reached[3] or new_counters[reached[1]] then
          count(key_offset, record, reached[2], endpoint, slugs[reached[1]], subject, reached[3] or 1)
        end
      end
      -- reserve: count_reserved
      if damage == 'all' then flags = flags + UNCOUNTED elseif damage then flags = flags + COUNT_DAMAGED end
    end
  end
  -- consume: pending

  -- SECTION: writing the counters
  -- Reads  verb, admitted, new_counters, new_expiries, new_values, corrected_counters, waits_until
  for index = 1, policies do
    -- include: write_counter
  end
  -- reserve: reserve
  replies[#replies + 1] = pack('>BBI8', flags, admitted and 1 or 0, now) .. readings
  -- reserve: reply_settleable
  -- consume: overdue
  key_offset, argument_offset = key_offset + 3 + policies + separate, argument_offset + 4
  -- tree: arguments
  -- marked: next_request
end
return replies
