-- Until when a bucket matters whose quota is another one than when it was written.
local reckoned_anew

-- State: time, time until full (whole, rest), the quota that this was reckoned with.
-- Figures: the time until full (whole, rest), 0, 0.
local function token_bucket(counter, at, span, quota, cost, per_token, per_token_rest, burst, burst_rest)
  if quota == 0 then return false, nil, nil, 0, 0, 0, 0 end
  local moment, used, rest = now, 0, 0
  if at then
    local since, its_quota
    since, used, rest, its_quota = unpack('>I8I8I4I4', counter, at)
    if since > moment then moment = since end
    if its_quota ~= quota then
      used, rest = ceil(used * its_quota / quota + rest / quota), 0
      reckoned_anew = since + used
    end
    if used > burst or (used == burst and rest > burst_rest) then used, rest = burst, burst_rest end
    used = used - (moment - since)
    if used < 0 then used, rest = 0, 0 end
  end
  local then_rest = rest + cost * per_token_rest
  local then_used = used + cost * per_token + floor(then_rest / quota)
  then_rest = then_rest % quota
  if then_used > burst or (then_used == burst and then_rest > burst_rest) then
    return false, nil, nil, used, rest, 0, 0
  end
  local after = pack('>BI4I2I8I8I4I4', TOKEN_BUCKET, span, 24, moment, then_used, then_rest, quota)
  return true, after, moment + then_used + 1, used, rest, 0, 0
end
