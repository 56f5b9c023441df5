-- SECTION: the record of a reservation
-- Reads  entry_content, consumption, refundable_until, places_until, id, now; record_key, open_keys: of the client and
--        of the shard
-- Only a reservation can be settled when it is not refundable any more: an excess is still debited.
local settleable_until = refundable_until + (consumption == RESERVATION and RETENTION_US or 0)
settleable_until = math.max(settleable_until, places_until)
if consumption == CHARGE_PART then
  call('SET', record_key, pack('>B', OPEN) .. entry_content, 'NX', 'PX', ceil(RETENTION_US / 1000))
else
  call('SET', record_key, pack('>B', OPEN) .. entry_content, 'PX', ceil((settleable_until - now) / 1000) + 1)
end
if consumption == RESERVATION or consumption == REQUEST then
  for number = 1, consumption == RESERVATION and 2 or 1 do
    call('ZADD', open_keys[number], number == 1 and settleable_until or refundable_until, id)
    local lifetime_of_set = ceil((settleable_until + RETENTION_US - now) / 1000)
    if call('PTTL', open_keys[number]) < lifetime_of_set then call('PEXPIRE', open_keys[number], lifetime_of_set) end
  end
  call('ZREMRANGEBYSCORE', open_keys[1], '-inf', now)
  call('ZREMRANGEBYSCORE', open_keys[2], '-inf', now - RETENTION_US)
end
