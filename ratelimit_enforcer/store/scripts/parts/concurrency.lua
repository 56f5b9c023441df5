elseif algorithm == CONCURRENCY then
  -- SECTION: a concurrency limit (reads and sets: decide.lua; also reads next_place)
  -- Places: a sorted set, reservation → when the place is free at the latest.
  -- Figures: places taken, time until the first is free at the latest, time until the last is, 0.
  local places_key, first_wait, last_wait = KEYS[extra_keys + 3 + next_place], NEVER, 0
  next_place = next_place + 1
  local taken_places = try('ZCOUNT', places_key, now + 1, '+inf')
  if type(taken_places) ~= 'number' then
    if not taken_places.err:find('WRONGTYPE', 1, true) then return taken_places end
    -- Damaged; this removes the key.
    call('PEXPIRE', places_key, 0)
    taken_places = 0
  end
  if taken_places > 0 then
    first_wait = call('ZRANGEBYSCORE', places_key, now + 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] - now
    last_wait = call('ZRANGE', places_key, -1, -1, 'WITHSCORES')[2] - now
  end
  limit_admits, needed_until = taken_places < quota, now + window * 1000000
  place_until = needed_until
  readings = readings .. pack(READING, limit_admits and 1 or 0, taken_places, first_wait, last_wait, 0)
