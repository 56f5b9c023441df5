-- Admits a request if fewer requests than the quota were admitted in the window that ends now.
--
-- The clock is the Redis server's. For a caller with another clock (a test that replaces the framework's `timer`),
-- the script is loaded with another part `clock`, which reads ARGV 3 and 4.
--
-- KEYS  1   the log: a list of the times of admitted requests, in microseconds, newest first
-- ARGV  1   quota
--       2   window in microseconds
-- Returns {1: admitted or 0: denied, number of entries in the window, time of the oldest of them or
--          false, time of the entry whose expiry ends a denial or false, now}; {-1} if the log is not a
--          list: it is removed, and the next request starts a new one
--
-- As in Django REST Framework, an entry that is exactly one window old has expired, several rates may
-- read one log, and only an admitted request writes: a denial removes no entry that a rate with a
-- longer window still counts. Expired entries are found by bisection and removed once, so a
-- call costs nearly the same whatever the quota; an entry takes about 10 bytes. The list expires with
-- its last entry, a millisecond later at the latest.
--
-- The newest entry may be ahead of the clock by 1/64 of the window and at most a second, because the
-- clocks of two masters differ. If it is further ahead, it was written with a wrong clock: then all entries
-- are read once, and those ahead are set to now, even if the request is denied. Invalid times count as expired.

-- include: clock

local log, quota, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock[1] * 1000000 + clock[2]

local function time_of(entry)
  local time = tonumber(entry)
  return time and time >= 0 and time < 2 ^ 53 and time or 0
end
local function entry_at(index) return time_of(redis.call('LINDEX', log, index)) end

local newest = redis.pcall('LINDEX', log, 0)
if type(newest) == 'table' then
  if not newest.err:find('WRONGTYPE', 1, true) then return newest end
  -- This removes the key.
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
if stored > 0 and entry_at(-1) <= now - window then
  local first, expired = 0, stored - 1
  while first < expired do
    local middle = math.floor((first + expired) / 2)
    if entry_at(middle) > now - window then first = middle + 1 else expired = middle end
  end
  entries = expired
end

if entries >= quota then
  return {0, entries, entries > 0 and entry_at(entries - 1), quota > 0 and entry_at(quota - 1), now}
end
if stored > entries then redis.call('RPOP', log, stored - entries) end
newest = math.max(newest, now)
redis.call('LPUSH', log, string.format('%.0f', newest))
redis.call('PEXPIRE', log, math.ceil((newest - now + window) / 1000) + 1)
return {1, entries + 1, entry_at(-1), false, now}
