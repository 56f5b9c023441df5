-- SECTION: the tokens in the bucket, rounded down
-- Reads  at_least, cost_wanted, until_full, until_full_rest, token_time, the numbers of the limit
-- Sets   bucket_room
if at_least < cost_wanted then
  local function bucket_has(tokens)
    local rest = until_full_rest + tokens * token_time_rest
    local time = until_full + tokens * token_time + floor(rest / quota)
    return time < burst_time or (time == burst_time and rest % quota <= burst_time_rest)
  end
  local free = burst_time - until_full + (burst_time_rest - until_full_rest) / quota
  bucket_room = math.max(0, math.min(1000000, floor(free / (token_time + token_time_rest / quota))))
  while bucket_room > 0 and not bucket_has(bucket_room) do bucket_room = bucket_room - 1 end
  while bucket_room < 1000000 and bucket_has(bucket_room + 1) do bucket_room = bucket_room + 1 end
end
