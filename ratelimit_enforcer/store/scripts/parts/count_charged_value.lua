if charges and is_settleable then
  -- include: count_value
end
