-- SECTION: reads what a request consumed (parts/entry.lua)
-- Reads  content, content_at: where it begins
-- Sets   consumption, refundable_until, reserved_cost, id; endpoint, client; parts: of a request in parts, packed
--        counters: a list, each with mode, beginning, key; places: the key of the places of a concurrency limit (nil:
--        there is none); limits: a list, each with algorithm, window, quota, capacity (burst or quota) and mark; beyond:
--        whether the policy counts the units over this limit (nil: it denies requests beyond its quota); over: those of
--        this request; grants: nil, or a list, each with id, amount, taken (the units of this request) and ends_at
local consumption, _, _, refundable_until, reserved_cost, id, number_of_counters, read_at =
  unpack('>BI2I8I8I4c16I2', content, content_at)
local counters = {}
for number = 1, number_of_counters do
  local counter, number_of_limits = {limits = {}}, nil
  counter.mode, counter.beginning, counter.key, number_of_limits, read_at = unpack('>BI4I2c0I2', content, read_at)
  for _ = 1, number_of_limits do
    local limit = {}
    limit.algorithm, limit.window, limit.quota, limit.capacity, limit.mark, read_at =
      unpack('>BI4I4I4I8', content, read_at)
    if limit.algorithm == BEYOND then
      counter.limits[#counter.limits].beyond, counter.limits[#counter.limits].over = limit.window, limit.quota
    elseif limit.algorithm == GRANT then
      local calendar = counter.limits[#counter.limits]
      calendar.grants = calendar.grants or {key = counter.key:gsub('}:n:[^:]+:([^\n]*).*', '}:grants:%1', 1)}
      calendar.grants[#calendar.grants + 1] =
        {id = limit.window, amount = limit.quota, taken = limit.capacity, ends_at = limit.mark}
    else
      counter.limits[#counter.limits + 1] = limit
    end
    if limit.algorithm == CONCURRENCY then counter.places = counter.key:gsub('}:', '}:p:', 1) end
  end
  counters[number] = counter
end
local endpoint, client, parts_at = unpack('>Bc0I2c0', content, read_at)
local parts = content:sub(parts_at)
