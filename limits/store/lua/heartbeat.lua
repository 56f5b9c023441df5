-- Notes that a process lives, and counts those that do.
--
-- KEYS  1   a hash: process → when it last said so, in seconds since 1970 (this server's clock)
-- ARGV  1   the process
--       2   for how many seconds a process counts as live
-- Returns {how many live processes come before this one by name, how many there are}
-- The hash expires when all of its processes are silent for that long.

local now, lifetime = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], now)

local rank, count, silent = 0, 0, {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if now - tonumber(all[at + 1]) > lifetime then
    silent[#silent + 1] = all[at]
  else
    count = count + 1
    if all[at] < ARGV[1] then rank = rank + 1 end
  end
end
for _, process in ipairs(silent) do redis.call('HDEL', KEYS[1], process) end
redis.call('EXPIRE', KEYS[1], lifetime)
return {rank, count}
