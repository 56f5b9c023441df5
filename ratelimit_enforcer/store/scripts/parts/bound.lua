-- SECTION: has the client too many unsettled reservations?
-- Reads  admitted, kind, verb, consumption, taken, max_open
-- Sets   is_settleable: the request is admitted, and may be settled; else admitted and flags
-- A charge is debited whether or not the limits would admit it.
local is_settleable = charges or (admitted and verb == 'count')
is_settleable = is_settleable and kind == ADMITTED and (consumption ~= REQUEST or #taken > 0)
if is_settleable and not charges and call('ZCOUNT', KEYS[extra_keys + 1], now + 1, '+inf') >= max_open then
  is_settleable, admitted, flags = false, false, flags + TOO_MANY
end
