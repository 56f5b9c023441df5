-- SECTION: how long Redis keeps a place
-- Reads  place, now
-- Sets   places_lifetime, in milliseconds
-- Why    a separate part, as for counters (parts/lifetime.lua)
local places_lifetime = ceil((place[2] - now) / 1000) + 1
