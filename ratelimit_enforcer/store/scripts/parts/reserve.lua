-- SECTION: the record of a reservation
-- Reads  is_settleable, consumption, refundable_until, id; what the parts below read
if is_settleable then
  local home_shard = 0
  -- include: entry
  -- include: take_places
  -- Only a reservation can be settled when it is not refundable any more: an excess is still debited.
  local settleable_until = refundable_until + (consumption == RESERVATION and RETENTION_US or 0)
  call('SET', KEYS[extra_keys], pack('>B', OPEN) .. entry_content, 'PX', ceil((settleable_until - now) / 1000) + 1)
  if consumption ~= CHARGE then
    for number, score in ipairs({settleable_until, refundable_until}) do
      local open_key = KEYS[extra_keys + number]
      call('ZADD', open_key, score, id)
      local lifetime_of_set = ceil((refundable_until + RETENTION_US - now) / 1000)
      if call('PTTL', open_key) < lifetime_of_set then call('PEXPIRE', open_key, lifetime_of_set) end
    end
    call('ZREMRANGEBYSCORE', KEYS[extra_keys + 1], '-inf', now)
    call('ZREMRANGEBYSCORE', KEYS[extra_keys + 2], '-inf', now - RETENTION_US)
  end
end
