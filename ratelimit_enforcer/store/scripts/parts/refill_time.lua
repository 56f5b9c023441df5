-- SECTION: functions for times to refill tokens: whole microseconds, and a rest in 1 / quota of one
-- Sets   refill_time, exact for up to 10^9 tokens; tokens_in, rounded up; added, difference; is_lesser, lesser
local function refill_time(tokens, window_us, quota)
  local time, rest = floor(window_us / quota), window_us % quota
  local millions, remainder = floor(tokens / 1000000), tokens % 1000000
  local million_rest, remainder_rest = 1000000 * rest, remainder * rest
  local whole = millions * (1000000 * time + floor(million_rest / quota)) + remainder * time
    + floor(remainder_rest / quota)
  local left = millions * (million_rest % quota) + remainder_rest % quota
  return whole + floor(left / quota), left % quota
end
local function added(time, rest, other_time, other_rest, quota)
  local sum = rest + other_rest
  return time + other_time + floor(sum / quota), sum % quota
end
local function difference(time, rest, other_time, other_rest, quota)
  if rest < other_rest then return time - other_time - 1, rest - other_rest + quota end
  return time - other_time, rest - other_rest
end
local function is_lesser(time, rest, other_time, other_rest)
  return time < other_time or (time == other_time and rest < other_rest)
end
local function lesser(time, rest, other_time, other_rest)
  if is_lesser(time, rest, other_time, other_rest) then return time, rest end
  return other_time, other_rest
end
local function tokens_in(time, rest, window_us, quota)
  local tokens = floor((time + rest / quota) / (window_us / quota))
  local function covers(number)
    local covered, covered_rest = refill_time(number, window_us, quota)
    return not is_lesser(covered, covered_rest, time, rest)
  end
  while not covers(tokens) do tokens = tokens + 1 end
  while tokens > 0 and covers(tokens - 1) do tokens = tokens - 1 end
  return tokens
end
