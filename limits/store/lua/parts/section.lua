-- Finds the state of a limit in `counter`, from `first` on: leaves `from` and `stop` where it is there.
local place = first
while place + 6 <= size do
  local kind, code, length
  kind, code, length, place = unpack('>BI4I2', counter, place)
  if kind == algorithm and code == span then
    from, stop = place, place + length
    break
  end
  place = place + length
end
