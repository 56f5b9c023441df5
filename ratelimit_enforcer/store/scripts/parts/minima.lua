-- SECTION: the minima of a bucket if a request consumes now
-- Reads  until_full, until_full_rest, token_time, reserved
-- Sets   minima
-- Usage that covers all reservations bounds none of their refunds.
if minima ~= '' and until_full < reserved * (token_time + 1) then
  local kept = #minima
  while kept > 0 do
    local _, least, least_rest = unpack(MINIMUM, minima, kept - MINIMUM_SIZE + 1)
    if least < until_full or (least == until_full and least_rest < until_full_rest) then break end
    kept = kept - MINIMUM_SIZE
  end
  if kept < #minima then
    local last_label = unpack('>I4', minima, #minima - MINIMUM_SIZE + 1)
    minima = minima:sub(1, kept) .. pack(MINIMUM, last_label, until_full, until_full_rest)
  end
end
