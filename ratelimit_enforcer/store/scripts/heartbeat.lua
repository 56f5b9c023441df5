-- Records a process's heartbeat, and counts the live processes.
--
-- KEYS  1   a hash: process → time of its last heartbeat, in seconds since 1970 (this server's clock)
-- ARGV  1   the process
--       2   for how many seconds after a heartbeat a process counts as live
-- Returns {how many live processes come before this one by name, how many there are}; {-1} if the key
-- is not a hash: it is removed, and the next heartbeat starts a new one
-- The hash expires when all of its processes are silent for that long. Invalid times, and times in the
-- future (written while the clock was ahead), do not count as heartbeats.

-- include: clock

local now, lifetime = tonumber(clock[1]), tonumber(ARGV[2])
local stored = redis.pcall('HSET', KEYS[1], ARGV[1], now)
if type(stored) == 'table' then
  if not stored.err:find('WRONGTYPE', 1, true) then return stored end
  -- This removes the key.
  redis.call('EXPIRE', KEYS[1], 0)
  return {-1}
end

local rank, live, silent = 0, 0, {}
local heartbeats = redis.call('HGETALL', KEYS[1])
for at = 1, #heartbeats, 2 do
  local process, last = heartbeats[at], tonumber(heartbeats[at + 1])
  if last and math.abs(now - last) <= lifetime then
    live = live + 1
    if process < ARGV[1] then rank = rank + 1 end
  else
    silent[#silent + 1] = process
  end
end
for _, process in ipairs(silent) do redis.call('HDEL', KEYS[1], process) end
redis.call('EXPIRE', KEYS[1], lifetime)
return {rank, live}
