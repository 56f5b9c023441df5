local clock = redis.call('TIME')
-- Admits a request where fewer than the quota were admitted in the window that ends now.
--
-- The line above is the only source of time: the Redis server's clock, held at the last entry's time
-- where it runs behind it. A caller that brings a clock of its own (a test that replaces the
-- framework's `timer`) loads the script with another first line, which reads ARGV 3 and 4.
--
-- KEYS  1   the log: a list of the times of admitted requests, in microseconds, the newest first
-- ARGV  1   quota
--       2   window in microseconds
-- Returns {1: admitted or 0: denied, entries in the window by then, time of the oldest of them or
--          false, time of the entry whose expiry ends a denial or false, now}
--
-- An entry that is exactly one window old has expired, as in Django REST Framework. As there, several
-- rates may read one log, and only an admitted request writes: a denial removes nothing that a rate
-- with a longer window still counts. Expired entries are found by bisection and removed once, so a
-- call costs nearly the same whatever the quota; about 10 bytes for an entry. The list expires with
-- its last entry, a millisecond later at the latest.

local log, quota, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock[1] * 1000000 + clock[2]
local newest = redis.call('LINDEX', log, 0)
if newest then now = math.max(now, tonumber(newest)) end

local function at(index) return tonumber(redis.call('LINDEX', log, index)) end

local stored = newest and redis.call('LLEN', log) or 0
local entries = stored
if newest and at(-1) <= now - window then
  local first, expired = 0, stored - 1
  while first < expired do
    local middle = math.floor((first + expired) / 2)
    if at(middle) > now - window then first = middle + 1 else expired = middle end
  end
  entries = expired
end

if entries >= quota then
  return {0, entries, entries > 0 and at(entries - 1), quota > 0 and at(quota - 1), now}
end
if stored > entries then redis.call('RPOP', log, stored - entries) end
redis.call('LPUSH', log, string.format('%.0f', now))
redis.call('PEXPIRE', log, math.ceil(window / 1000) + 1)
return {1, entries + 1, at(-1), false, now}
