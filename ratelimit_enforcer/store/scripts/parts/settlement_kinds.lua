-- The kinds under which settlements are counted.
local RESERVED_COST, SETTLEMENTS, SETTLED_COST, REFUNDED_COST, DEBITED_COST, OVERDRAWN_COST = 'v', 'n', 't', 'r', 'x', 'o'
