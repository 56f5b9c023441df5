-- SECTION: the cost of a reservation that takes what is available
-- Reads  cost, at_least
-- Sets   cost: what the enforcing limits admit, between at_least and the cost wanted
local cost_wanted = cost
if at_least < cost then
  local first_rules_at = rules_at
  cost = at_least
  for index = 1, policies do
    -- include: policy
    if exhausted then break end
  end
  cost = math.max(at_least, math.min(cost_wanted, available))
  -- grants: grants_reset
  rules_at, readings, thresholds_reached, separate, new_values, next_place = first_rules_at, '', nil, 0, nil, 0
end
