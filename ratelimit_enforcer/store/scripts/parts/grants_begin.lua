--        grants_taken[index]: the grants of a limit of the policy, with the units that the request takes from each
local grants_taken
