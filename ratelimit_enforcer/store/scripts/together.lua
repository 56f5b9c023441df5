-- Decides several requests together: all of them are admitted and consume, or none does.
--
-- A counter that several requests reach is consumed once, by the largest of their costs. Each client is counted once: by
-- its first request, at the largest of its costs. A request of cost 0 consumes nothing and is not counted; it is denied
-- if a cost of 1 would be.
--
-- KEYS, ARGV  as for decide.lua in the variant for clients below a parent; cost: 0 to 10^6
--
-- Returns for each request, if all could be decided, the same as decide.lua, packed: whether the request itself is
-- admitted, and the readings at its own cost. Else the number of the first that could not be decided, from 0, and the
-- reply of decide.lua about it: then nothing has changed.
--
-- Counter, clock, numbers: see decide.lua. All requests are decided before the first write. Two requests with the same
-- key of a counter have the same limits, because they were prepared from the same rules, unless one brings a limit of its
-- own: then those of the request that consumes are written. Beyond the values of attributes that a policy counts
-- separately, a group may add one for each of its requests.

-- include: clock
-- include: codes
-- include: kinds
-- include: policy_kinds

local call, try, type, pack, unpack = redis.call, redis.pcall, type, struct.pack, struct.unpack
local floor, ceil, max = math.floor, math.ceil, math.max
local EXPIRY_CODE, EXPIRY, EXPIRY_SIZE = 0, '>BI4I2I8', 15
local READING = '>Bi8i8i8i8'

local now = clock[1] * 1000000 + clock[2]
local token, verb = ARGV[1], ARGV[2]

-- SECTION: each request by itself
-- Sets   decided: for each request what the sections below read; all_admitted
--        consumer_of[key]: the number of the request that consumes from the counter
--        first_of[client_field], highest_cost[client_field]: the request that is counted, and its cost
local replies, decided, key_offset, argument_offset, rules = {}, {}, 0, 3, nil
local all_admitted, consumer_of, first_of, highest_cost = true, {}, {}, {}
while argument_offset < #ARGV do
  local client_field, revision = ARGV[argument_offset + 1], ARGV[argument_offset + 2]
  local consumed_cost = tonumber(ARGV[argument_offset + 3])
  local cost = max(1, consumed_cost)
  if ARGV[argument_offset + 4] ~= '' then rules = ARGV[argument_offset + 4] end
  local policies, valid_from, valid_until, kind, endpoint, rules_at = unpack('>I2I8I8c1Bc0', rules)

  -- include: in_force
  -- tree: ancestors
  if reply then
    replies[1] = reply
    break
  end

  -- include: counters

  local number = #decided + 1
  decided[number] = {
    client_field = client_field, record = record, kind = kind, endpoint = endpoint, cost = consumed_cost,
    rules = rules, slugs_at = rules_at, policies = policies, levels = levels,
    key_offset = key_offset, argument_offset = argument_offset,
    admitted = admitted, readings = readings, flags = token_in_force and complete and COMPLETE or 0,
    new_counters = new_counters, new_expiries = new_expiries, new_values = new_values, waits_until = waits_until,
    corrected_counters = corrected_counters, denying_modes = denying_modes, thresholds_reached = thresholds_reached
  }
  -- grants: grants_decided
  all_admitted = all_admitted and admitted and kind ~= BLOCKED
  for index = 1, policies do
    local key = KEYS[key_offset + 3 + index]
    local consumer = decided[consumer_of[key]]
    if not consumer or consumed_cost > consumer.cost then consumer_of[key] = number end
  end
  if consumed_cost > 0 then
    first_of[client_field] = first_of[client_field] or number
    highest_cost[client_field] = max(consumed_cost, highest_cost[client_field] or 0)
  end
  key_offset, argument_offset = key_offset + 3 + policies + separate, argument_offset + 4
  -- tree: arguments
end
if replies[1] then return {#decided, replies[1]} end

-- SECTION: usage counts
if verb == 'count' then
  local max_new_counts, minute = ARGV[3], floor(clock[1] / 60)
  -- include: usage
  local is_denied_by = {}
  for number, request in ipairs(decided) do
    local client_field, record, endpoint, levels = request.client_field, request.record, request.endpoint, request.levels
    local key_offset, argument_offset = request.key_offset, request.argument_offset
    local client = client_field:sub(3)
    damage = nil
    if first_of[client_field] == number then
      local kind, cost = request.kind, highest_cost[client_field]
      if kind == ADMITTED and not all_admitted then kind = DENIED end
      count(key_offset, record, kind, endpoint, '', client, 1)
      if cost > 1 then count(key_offset, record, kind:upper(), endpoint, '', client, cost - 1) end
    end
    local slugs, slugs_at = {}, request.slugs_at
    for index = 1, request.policies do
      slugs[index], slugs_at = unpack('Bc0', request.rules, slugs_at)
      local denying_mode, denied = request.denying_modes and request.denying_modes[index], client_field .. '\n' .. slugs[index]
      if denying_mode and not is_denied_by[denied] then
        is_denied_by[denied] = true
        if denying_mode == ENFORCE then
          count(key_offset, record, POLICY_DENIED, endpoint, slugs[index], client, 1)
        elseif all_admitted then
          count(key_offset, record, POLICY_WOULD_DENY, endpoint, slugs[index], client, 1)
        end
      end
    end
    for _, reached in ipairs(all_admitted and request.cost > 0 and request.thresholds_reached or {}) do
      if consumer_of[KEYS[key_offset + 3 + reached[1]]] == number then
        local subject = client
        -- tree: subject
        if not reached[3] or request.new_counters[reached[1]] then
          count(key_offset, record, reached[2], endpoint, slugs[reached[1]], subject, reached[3] or 1)
        end
      end
    end
    if damage == 'all' then
      request.flags = request.flags + UNCOUNTED
    elseif damage then
      request.flags = request.flags + COUNT_DAMAGED
    end
  end
end

-- SECTION: writing the counters
for number, request in ipairs(decided) do
  local key_offset, admitted = request.key_offset, all_admitted and request.cost > 0
  local new_counters, new_expiries, new_values = request.new_counters, request.new_expiries, request.new_values
  local corrected_counters, waits_until = request.corrected_counters, request.waits_until
  -- grants: grants_of_request
  for index = 1, request.policies do
    if consumer_of[KEYS[key_offset + 3 + index]] == number then
      -- A request before this one may have counted a new value.
      local new_value = new_values and new_values[index]
      if new_value then new_value.before = tonumber(call('GET', new_value.key) or 0) end
      -- include: write_counter
    end
  end
  replies[number] = pack('>BBI8', request.flags, request.admitted and 1 or 0, now) .. request.readings
end
return replies
