own_cost = cost - granted_taken
