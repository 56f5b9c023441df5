-- SECTION: the grants of a calendar limit
-- Reads  algorithm, quota; burst_time: the number of its grants; rules, from rules_at; separate
-- Sets   grants: nil, or a list in the order in which they are consumed, each with id, amount, ends_at and left; key: of
--        what is consumed of them; granted: what is left of all; granted_taken: what the request takes from them
local grants, granted, granted_taken, own_quota = nil, 0, 0, quota
if algorithm == CALENDAR and burst_time > 0 then
  separate = separate + 1
  grants = {key = KEYS[key_offset + 3 + policies + separate], counts_key = KEYS[key_offset + 2]}
  for number = 1, burst_time do
    local grant = {}
    grant.id, grant.amount, grant.ends_at, rules_at = unpack('>I4I4I8', rules, rules_at)
    grants[number] = grant
  end
  -- include: grants_left
end
