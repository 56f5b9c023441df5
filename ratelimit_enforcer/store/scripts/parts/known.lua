-- SECTION: was this request made before?
-- Reads  reply, verb, consumption, extra_keys
-- Sets   reply: the record of the reservation or charge
if not reply and (consumption == CHARGE or (consumption == RESERVATION and verb ~= 'look')) then
  local stored = call('GET', KEYS[extra_keys])
  if stored then reply = {RESERVED, stored} end
end
