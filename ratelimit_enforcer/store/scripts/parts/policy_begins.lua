local mark, limits_consumed, place_until = 0, '', nil
