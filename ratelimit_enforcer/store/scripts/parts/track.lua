-- SECTION: a reservation from a token bucket, whose refund is bounded by the least usage from now on
-- Reads  minima, cost, refundable_until
-- Sets   minima, tracked_until, reserved; mark: the label of the minima from now on
local MAX_MINIMA = 16
local last_label, last_least = 0, 0
if minima ~= '' then last_label, last_least = unpack(MINIMUM, minima, #minima - MINIMUM_SIZE + 1) end
if last_least < UNBOUNDED then
  last_label = last_label + 1
  minima = minima .. pack(MINIMUM, last_label, UNBOUNDED, 0)
end
if #minima > MAX_MINIMA * MINIMUM_SIZE then
  -- The two that differ least, except the last one, become the lower: this can only refund less.
  local merged_at, least_rise = nil, UNBOUNDED
  for at = 1, #minima - 3 * MINIMUM_SIZE + 1, MINIMUM_SIZE do
    local _, earlier = unpack(MINIMUM, minima, at)
    local _, later = unpack(MINIMUM, minima, at + MINIMUM_SIZE)
    if later - earlier < least_rise then merged_at, least_rise = at, later - earlier end
  end
  local later_label = minima:sub(merged_at + MINIMUM_SIZE, merged_at + MINIMUM_SIZE + 3)
  minima = minima:sub(1, merged_at - 1) .. later_label .. minima:sub(merged_at + 4, merged_at + MINIMUM_SIZE - 1)
    .. minima:sub(merged_at + 2 * MINIMUM_SIZE)
end
tracked_until, reserved, mark = math.max(tracked_until, refundable_until), reserved + cost, last_label
