-- SECTION: was this request made before?
-- Reads  reply, verb, consumption, extra_keys, ARGV 3
-- Sets   reply: the record of the reservation or charge; or that an earlier attempt is not resolved yet
if not reply and (consumption == CHARGE or (consumption == RESERVATION and verb ~= 'look')) then
  local stored = call('GET', KEYS[extra_keys])
  if stored then reply = {RESERVED, stored} end
end
if not reply and verb == 'consume' and call('HEXISTS', KEYS[extra_keys - 1], ARGV[3]:sub(1, 18)) == 1 then
  reply = {UNRESOLVED}
end
