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

local function bound_new_count(keys, record, field, what, client, by)
  local at, number = string.match(redis.call('GET', KEYS[keys + 3]) or '', '^(%d+) (%d+)$')
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
  redis.call('HINCRBY', KEYS[keys + 2], instead, by)
end

-- KEYS keys + 2: the usage counts of a bucket, keys + 3: how many new ones it took; `record`: the client's.
local function count(keys, record, kind, endpoint, policy, client, by)
  local what = '\n' .. kind .. '\n' .. endpoint .. '\n' .. policy .. '\n'
  local field = minute .. what .. client
  if redis.call('HINCRBY', KEYS[keys + 2], field, by) == by then
    bound_new_count(keys, record, field, what, client, by)
  end
end
