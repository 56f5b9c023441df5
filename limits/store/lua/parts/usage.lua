-- Usage counts of a bucket: a hash, `minute, kind, endpoint, policy, client` (one in a line) → how many.
-- Kinds: a admitted, d denied, b blocked, e exempt, with an empty policy, and in capitals what the
-- requests cost beyond 1 each; d with a policy: it denied; s with a policy in shadow mode: it would have
-- denied a request that was admitted;
-- 50, 80, 90 and 100 with a policy that enforces: the request took a limit of it over that many
-- hundredths. The hash does not expire: the drain takes it away as a whole.
--
-- `bound` new counts are taken in a minute (remembered beside them, over drains, until it is over); beyond
-- them, a client that is not registered is counted without its name. Beyond eight times as many that
-- wait, nobody drains, and hours stand for minutes.

-- `damage` says what was found: 'all', where the counts are no hash and nothing can be counted until the
-- drain has set them aside, or 'one', where a count was no number and begins anew. The bound is read as
-- nothing where it is none.

local damage

local function add(keys, field, by)
  local many = redis.pcall('HINCRBY', KEYS[keys + 2], field, by)
  if type(many) == 'number' then return many end
  if many.err:find('WRONGTYPE', 1, true) then
    damage = 'all'
    return
  elseif many.err:find('not an integer', 1, true) or many.err:find('overflow', 1, true) then
    damage = damage or 'one'
    redis.call('HSET', KEYS[keys + 2], field, by)
    return by
  end
  -- Something else is wrong: that surfaces.
  return redis.call('HINCRBY', KEYS[keys + 2], field, by)
end

local function bound_new_count(keys, record, field, what, client, by)
  local seen = redis.pcall('GET', KEYS[keys + 3])
  local at, number = string.match(type(seen) == 'string' and seen or '', '^(%d+) (%d+)$')
  local new_counts = tonumber(at) == minute and tonumber(number) or 0
  local registered = record and record:find('{', 1, true)
  local instead
  if redis.call('HLEN', KEYS[keys + 2]) > 8 * bound then
    instead = minute - minute % 60 .. what .. (registered and client or '')
  elseif new_counts >= tonumber(bound) and not registered then
    instead = minute .. what
  else
    redis.call('SET', KEYS[keys + 3], minute .. ' ' .. new_counts + 1, 'EX', 120)
    return
  end
  redis.call('HDEL', KEYS[keys + 2], field)
  add(keys, instead, by)
end

-- KEYS keys + 2: the usage counts of a bucket, keys + 3: how many new ones it took; `record`: the client's.
local function count(keys, record, kind, endpoint, policy, client, by)
  local what = '\n' .. kind .. '\n' .. endpoint .. '\n' .. policy .. '\n'
  local field = minute .. what .. client
  if add(keys, field, by) == by then
    bound_new_count(keys, record, field, what, client, by)
  end
end
