if algorithm == CALENDAR and grants then room = math.max(0, room) + granted end
