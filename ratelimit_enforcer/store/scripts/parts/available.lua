-- SECTION: the cost that a limit still admits
-- Reads  mode, algorithm, quota, used_before; bucket_room
-- Sets   available
if mode == ENFORCE then
  local room = quota - unpack('>i8', readings, #readings - 31)
  if algorithm == TOKEN_BUCKET then room = bucket_room end
  -- grants: grants_room
  if algorithm == CALENDAR and token_time_rest > 0 then room = cost_wanted end
  if algorithm == CONCURRENCY then room = limit_admits and cost_wanted or 0 end
  if room < available then available = room end
end
