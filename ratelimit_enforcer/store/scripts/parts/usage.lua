-- SECTION: functions that count usage
-- Reads  minute, since 1970; max_new_counts; KEYS: key_offset + 2 has a shard's usage counts,
--        key_offset + 3 the number of new ones in this minute
-- Sets   add, bound_new_count, count; damage: 'all' if the key of the counts is not a hash, so that nothing
--        can be counted until the drain has set it aside; 'one' if a count was not a number and was reset;
--        else nil. An invalid number of new counts is read as 0.
--
-- Usage counts of a shard: a hash, `minute, kind, endpoint, policy, client` (one per line) → amount.
-- Counts of requests have an empty policy and a kind of parts/kinds.lua. Counts of a policy have a kind of
-- parts/policy_kinds.lua: it denied the request; in shadow mode, it would have denied an admitted request; for an
-- enforcing policy, the request took the usage of one of its limits past 50, 80, 90 or 100 %. The hash does
-- not expire: the drain removes it as a whole.
--
-- `max_new_counts` new counts are accepted per minute (their number is in a separate key, which survives drains);
-- beyond that, an unregistered client is counted without its name. If more than eight times as many counts
-- are waiting, no drain is running, and counts are kept by the hour instead of by the minute.

local damage

local function add(key_offset, field, amount)
  local total = redis.pcall('HINCRBY', KEYS[key_offset + 2], field, amount)
  if type(total) == 'number' then return total end
  if total.err:find('WRONGTYPE', 1, true) then
    damage = 'all'
    return
  elseif total.err:find('not an integer', 1, true) or total.err:find('overflow', 1, true) then
    damage = damage or 'one'
    redis.call('HSET', KEYS[key_offset + 2], field, amount)
    return amount
  end
  -- Any other error surfaces.
  return redis.call('HINCRBY', KEYS[key_offset + 2], field, amount)
end

-- `labels`: the field between minute and client. `record`: the client's, or false or nil.
local function bound_new_count(key_offset, record, field, labels, client, amount)
  local stored = redis.pcall('GET', KEYS[key_offset + 3])
  local stored_minute, number = string.match(type(stored) == 'string' and stored or '', '^(%d+) (%d+)$')
  local new_counts = tonumber(stored_minute) == minute and tonumber(number) or 0
  local registered = record and record:find('{', 1, true)
  local replacement
  if redis.call('HLEN', KEYS[key_offset + 2]) > 8 * max_new_counts then
    replacement = minute - minute % 60 .. labels .. (registered and client or '')
  elseif new_counts >= tonumber(max_new_counts) and not registered then
    replacement = minute .. labels
  else
    redis.call('SET', KEYS[key_offset + 3], minute .. ' ' .. new_counts + 1, 'EX', 120)
    return
  end
  redis.call('HDEL', KEYS[key_offset + 2], field)
  add(key_offset, replacement, amount)
end

local function count(key_offset, record, kind, endpoint, policy, client, amount)
  local labels = '\n' .. kind .. '\n' .. endpoint .. '\n' .. policy .. '\n'
  local field = minute .. labels .. client
  if add(key_offset, field, amount) == amount then
    bound_new_count(key_offset, record, field, labels, client, amount)
  end
end
