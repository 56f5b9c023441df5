-- SECTION: has the client too many unsettled reservations?
-- Reads  admitted, kind, verb, consumption, taken, max_open
-- Sets   is_settleable: the request is admitted, and may be settled; else admitted and flags
local is_settleable = consumption ~= REQUEST or #taken > 0
is_settleable = is_settleable and admitted and kind == ADMITTED and (verb == 'count' or consumption == CHARGE)
if is_settleable and consumption ~= CHARGE and call('ZCOUNT', KEYS[extra_keys + 1], now + 1, '+inf') >= max_open then
  is_settleable, admitted, flags = false, false, flags + TOO_MANY
end
