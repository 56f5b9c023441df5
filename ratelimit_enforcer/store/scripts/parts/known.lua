-- SECTION: was this reservation or charge made before?
-- Reads  reply, consumption, verb, extra_keys
-- Sets   reply: the record, if it was
if not reply and (consumption == CHARGE or (consumption == RESERVATION and verb == 'count')) then
  local stored = call('GET', KEYS[extra_keys])
  if stored then reply = {RESERVED, stored} end
end
