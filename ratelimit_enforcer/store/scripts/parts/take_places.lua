-- SECTION: taking places
-- Reads  taken, id
for _, place in ipairs(taken) do
  call('ZREMRANGEBYSCORE', place[1], '-inf', now)
  call('ZADD', place[1], place[2], id)
  -- include: places_lifetime
  if call('PTTL', place[1]) < places_lifetime then call('PEXPIRE', place[1], places_lifetime) end
end
