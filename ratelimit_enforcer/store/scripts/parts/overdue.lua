replies[#replies + 1] = overdue
