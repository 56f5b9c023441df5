local clock = redis.call('TIME')
-- Admits a request where fewer than the quota were admitted in the window that ends now.
--
-- The line above is the only source of time: the Redis server's clock. A caller that brings a clock of
-- its own (a test that replaces the framework's `timer`) loads the script with another first line, which
-- reads ARGV 3 and 4.
--
-- KEYS  1   the log: a list of the times of admitted requests, in microseconds, the newest first
-- ARGV  1   quota
--       2   window in microseconds
-- Returns {1: admitted or 0: denied, entries in the window by then, time of the oldest of them or
--          false, time of the entry whose expiry ends a denial or false, now}; where the log is no list
--          {-1}: it begins anew with the next request
--
-- An entry that is exactly one window old has expired, as in Django REST Framework. As there, several
-- rates may read one log, and only an admitted request writes: a denial removes nothing that a rate
-- with a longer window still counts. Expired entries are found by bisection and removed once, so a
-- call costs nearly the same whatever the quota; about 10 bytes for an entry. The list expires with
-- its last entry, a millisecond later at the latest.
--
-- An entry may be ahead of the clock by a 64th of the window and a second at most, as the clocks of two
-- masters are. What is ahead by more was noted by a wrong clock: all entries are gone through once, and it
-- is noted as of now, also where the request is denied. What is no time has expired.

local log, quota, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock[1] * 1000000 + clock[2]

local function time_of(entry)
  local time = tonumber(entry)
  return time and time >= 0 and time < 2 ^ 53 and time or 0
end
local function at(index) return time_of(redis.call('LINDEX', log, index)) end

local newest = redis.pcall('LINDEX', log, 0)
if type(newest) == 'table' then
  if not newest.err:find('WRONGTYPE', 1, true) then return newest end
  -- Which removes it.
  redis.call('PEXPIRE', log, 0)
  return {-1}
end

local stored = newest and redis.call('LLEN', log) or 0
newest = newest and time_of(newest) or 0
if newest - now > math.min(window / 64, 1000000) then
  for _ = 1, stored do
    local time = time_of(redis.call('RPOP', log))
    redis.call('LPUSH', log, string.format('%.0f', math.min(time, now)))
  end
  newest = now
end

local entries = stored
if stored > 0 and at(-1) <= now - window then
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
newest = math.max(newest, now)
redis.call('LPUSH', log, string.format('%.0f', newest))
redis.call('PEXPIRE', log, math.ceil((newest - now + window) / 1000) + 1)
return {1, entries + 1, at(-1), false, now}
