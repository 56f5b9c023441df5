-- SECTION: what a settlement needs to know about a limit
-- Reads  charges, algorithm, window, quota, needed_until, limit_admits, mark; the numbers of a bucket
-- Sets   limits_consumed: appends algorithm, window, quota, burst (or quota), and the mark by which a refund finds the
--        request: the time of its run, the end of its window, or the label of the minima; then, if it admits beyond its
--        quota, BEYOND, whether the policy counts the units over quota, and those of this request; and for each of its
--        grants GRANT, id, amount, the units that the request takes from it, and its end
if limit_admits or charges then
  local limit_capacity = quota
  if algorithm == SLIDING_WINDOW then
    mark = needed_until - window * 1000000
  elseif algorithm ~= TOKEN_BUCKET then
    mark = needed_until
  elseif quota > 0 then
    local exact_token_time = token_time_or_period_end + token_time_rest / quota
    limit_capacity = floor((burst_time + burst_time_rest / quota) / exact_token_time + 0.5)
  end
  limits_consumed = limits_consumed .. pack('>BI4I4I4I8', algorithm, window, quota, limit_capacity, mark)
  if algorithm == CALENDAR and token_time_rest > 0 then
    local own_cost = cost
    -- grants: grants_cost
    local over = limit_admits and math.max(0, math.min(own_cost, used + own_cost - quota)) or 0
    limits_consumed = limits_consumed .. pack('>BI4I4I4I8', BEYOND, token_time_rest, over, 0, 0)
  end
  -- grants: grants_consumed
end
