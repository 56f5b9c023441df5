-- SECTION: the record of a reservation
-- Reads  entry_content, consumption, refundable_until, id, now; record_key, open_keys: of the client and of the shard
-- Only a reservation can be settled when it is not refundable any more: an excess is still debited.
local settleable_until = refundable_until + (consumption == RESERVATION and RETENTION_US or 0)
call('SET', record_key, pack('>B', OPEN) .. entry_content, 'PX', ceil((settleable_until - now) / 1000) + 1)
if consumption == RESERVATION or consumption == REQUEST then
  for number, score in ipairs({settleable_until, refundable_until}) do
    call('ZADD', open_keys[number], score, id)
    local lifetime_of_set = ceil((refundable_until + RETENTION_US - now) / 1000)
    if call('PTTL', open_keys[number]) < lifetime_of_set then call('PEXPIRE', open_keys[number], lifetime_of_set) end
  end
  call('ZREMRANGEBYSCORE', open_keys[1], '-inf', now)
  call('ZREMRANGEBYSCORE', open_keys[2], '-inf', now - RETENTION_US)
end
