replies[#replies] = {RESERVED, replies[#replies], cost, is_settleable and 1 or 0, refundable_until}
