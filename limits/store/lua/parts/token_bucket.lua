-- State: time, time until full (whole, rest), the quota that this was reckoned with.
-- Figures: the time until full (whole, rest), 0, 0.
-- Leaves `matters_until` too: where the quota is another one than when it was written.
if quota > 0 then
  if from and (stop > size + 1 or stop - from ~= 24) then
    from, is_damaged = nil, true
  end
  if from then
    local since, its_quota
    since, a, b, its_quota = unpack('>I8I8I4I4', counter, from)
    if since > now and since - now > (span < 64 and span * 15625 or 1000000) then
      -- The clock was ahead. What it noted of the future was now at the latest.
      since, is_corrected = now, true
      counter = counter:sub(1, from - 1) .. pack('>I8', now) .. counter:sub(from + 8)
    end
    if its_quota ~= quota then
      a, b = ceil(a * its_quota / quota + b / quota), 0
      -- No limit takes longer than 366 days to refill.
      local ends_at = since + math.min(a, 31622400000000)
      if ends_at > matters_until then matters_until = ends_at end
    end
    if a > burst or (a == burst and b > burst_rest) then a, b = burst, burst_rest end
    -- Where the clock is a little behind the state, the bucket is full again no earlier for that.
    a = a - (now - since)
    if a < 0 then a, b = 0, 0 end
  end
  local then_rest = b + cost * token_rest
  local then_used = a + cost * token_or_end + floor(then_rest / quota)
  then_rest = then_rest % quota
  if then_used < burst or (then_used == burst and then_rest <= burst_rest) then
    value = value .. pack('>BI4I2I8I8I4I4', TOKEN_BUCKET, span, 24, now, then_used, then_rest, quota)
    admits_it, matters = true, now + then_used + 1
  end
end
