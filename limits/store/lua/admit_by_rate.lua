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
-- Returns {1: admitted or 0: denied, entries in the log by then, time of the oldest or false, now}
--
-- An entry that is exactly one window old has expired, as in Django REST Framework. Each entry is
-- removed once, so a call costs the same whatever the quota; about 10 bytes for an entry. The list
-- expires with its last entry, a millisecond later at the latest.

local quota, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = clock[1] * 1000000 + clock[2]
local newest = redis.call('LINDEX', KEYS[1], 0)
if newest then now = math.max(now, tonumber(newest)) end

local oldest = newest and redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(oldest) <= now - window do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end

local entries = oldest and redis.call('LLEN', KEYS[1]) or 0
if entries >= quota then
  return {0, entries, oldest and tonumber(oldest), now}
end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) + 1)
return {1, entries + 1, tonumber(oldest or now), now}
