-- The floor: the minimum for a rate limiter in Redis. One key, one limit, the generic cell rate
-- algorithm; no versions, clients or packing, and no figures except the answer.
--
-- KEYS 1 counter; ARGV 1 microseconds for one request, 2 microseconds of the whole burst
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
if full_at < now then full_at = now end
local after = full_at + ARGV[1]
if after - now > tonumber(ARGV[2]) then return {0, after - now - ARGV[2]} end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
return {1, 0}
