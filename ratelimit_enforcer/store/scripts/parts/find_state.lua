-- SECTION: finds the state of a limit in a counter
-- Reads  counter, counter_size, states_begin, algorithm, window
-- Sets   state_begin, state_end: where the state begins, and the next one (nil: the limit was never used)
local at = states_begin
while at + 6 <= counter_size do
  local found_algorithm, found_window, length
  found_algorithm, found_window, length, at = unpack('>BI4I2', counter, at)
  if found_algorithm == algorithm and found_window == window then
    state_begin, state_end = at, at + length
    break
  end
  at = at + length
end
