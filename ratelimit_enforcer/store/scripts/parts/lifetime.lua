-- SECTION: how long Redis keeps a counter
-- Reads  new_expiries, index
-- Sets   lifetime, in milliseconds
-- Why    a separate part, because tests set the clock of a script, but not the clock by which Redis expires keys
local lifetime = ceil((new_expiries[index] - now) / 1000) + 1
