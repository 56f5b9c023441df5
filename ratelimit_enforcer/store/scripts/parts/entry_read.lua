-- SECTION: reads what a request consumed (parts/entry.lua)
-- Reads  content, content_at: where it begins
-- Sets   consumption, home_shard, consumed_at, refundable_until, reserved_cost; endpoint, client
--        counters: a list, each with mode, beginning, key, and limits: a list, each with algorithm, window, quota,
--        capacity (burst or quota) and mark
local consumption, home_shard, consumed_at, refundable_until, reserved_cost, number_of_counters, read_at =
  unpack('>BI2I8I8I4B', content, content_at)
local counters = {}
for number = 1, number_of_counters do
  local counter, number_of_limits = {limits = {}}, nil
  counter.mode, counter.beginning, counter.key, number_of_limits, read_at = unpack('>BI4I2c0B', content, read_at)
  for at = 1, number_of_limits do
    local limit = {}
    limit.algorithm, limit.window, limit.quota, limit.capacity, limit.mark, read_at =
      unpack('>BI4I4I4I8', content, read_at)
    counter.limits[at] = limit
  end
  counters[number] = counter
end
local endpoint, client_at = unpack('>Bc0', content, read_at)
local client = content:sub(client_at)
