-- State: time, time until full (whole, rest), the quota that this was reckoned with.
-- Figures: the time until full (whole, rest), 0, 0.
-- Leaves `matters_until` too: where the quota is another one than when it was written.
if quota > 0 then
  local moment = now
  if from then
    local since, its_quota
    since, a, b, its_quota = unpack('>I8I8I4I4', counter, from)
    if since > moment then moment = since end
    if its_quota ~= quota then
      a, b = ceil(a * its_quota / quota + b / quota), 0
      if since + a > matters_until then matters_until = since + a end
    end
    if a > burst or (a == burst and b > burst_rest) then a, b = burst, burst_rest end
    a = a - (moment - since)
    if a < 0 then a, b = 0, 0 end
  end
  local then_rest = b + cost * token_rest
  local then_used = a + cost * token_or_end + floor(then_rest / quota)
  then_rest = then_rest % quota
  if then_used < burst or (then_used == burst and then_rest <= burst_rest) then
    value = value .. pack('>BI4I2I8I8I4I4', TOKEN_BUCKET, span, 24, moment, then_used, then_rest, quota)
    admits_it, matters = true, moment + then_used + 1
  end
end
