if is_settleable and consumption == RESERVATION then
  count(key_offset, record, 'v', endpoint, '', client, cost)
end
