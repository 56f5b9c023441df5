-- Where the state of the limit with this algorithm and span begins and stops in a counter (see
-- decide.lua); nothing where it was never used.
local function section(counter, algorithm, span)
  local at, size = 1, #counter
  while at <= size do
    local kind, code, length
    kind, code, length, at = unpack('>BI4I2', counter, at)
    if kind == algorithm and code == span then return at, at + length end
    at = at + length
  end
end
