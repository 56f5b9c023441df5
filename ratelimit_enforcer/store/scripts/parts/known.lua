-- SECTION: was this reservation made before?
-- Reads  consumption, extra_keys
-- Sets   reply: the record, if it was
if not reply and verb ~= 'look' and consumption == RESERVATION then
  local stored = call('GET', KEYS[extra_keys])
  if stored then reply = {RESERVED, stored} end
end
