-- Notes that a process lives, and counts those that do.
--
-- KEYS  1   a hash: process → when it last said so, in seconds since 1970 (this server's clock)
-- ARGV  1   the process
--       2   for how many seconds a process counts as live
-- Returns {how many live processes come before this one by name, how many there are}; where the key is
-- no hash {-1}: it begins anew with the next heartbeat
-- The hash expires when all of its processes are silent for that long. What is no time, or is of the
-- future because the clock was ahead, is no sign of life.

local now, lifetime = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
local noted = redis.pcall('HSET', KEYS[1], ARGV[1], now)
if type(noted) == 'table' then
  if not noted.err:find('WRONGTYPE', 1, true) then return noted end
  -- Which removes it.
  redis.call('EXPIRE', KEYS[1], 0)
  return {-1}
end

local rank, count, silent = 0, 0, {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local last = tonumber(all[at + 1])
  if last and math.abs(now - last) <= lifetime then
    count = count + 1
    if all[at] < ARGV[1] then rank = rank + 1 end
  else
    silent[#silent + 1] = all[at]
  end
end
for _, process in ipairs(silent) do redis.call('HDEL', KEYS[1], process) end
redis.call('EXPIRE', KEYS[1], lifetime)
return {rank, count}
