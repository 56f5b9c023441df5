-- The kinds under which a request is counted; in upper case, the cost of these requests beyond 1 each.
local ADMITTED, DENIED, BLOCKED, EXEMPT = 'a', 'd', 'b', 'e'
