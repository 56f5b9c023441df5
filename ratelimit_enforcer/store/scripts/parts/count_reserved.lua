-- include: settlement_kinds
if is_settleable and consumption == RESERVATION then
  count(key_offset, record, RESERVED_COST, endpoint, '', client, cost)
end
