-- SECTION: one counter
-- Reads  index
-- Sets   counter (nil: never used), counter_size; states_begin: where its states begin
--        expiry: its present expiry (0: none)
--        beginning: of the counter; nil if it has none, or if one of the limits has no state in it
--        new_states: the counter after the request, as far as it is known: the expiry
--        is_damaged, is_corrected: whether the counter is, or was
local counter, counter_size = try('GET', KEYS[key_offset + 3 + index]), 0
local states_begin, expiry, new_states, is_damaged, is_corrected = 1, 0, '', false, false
local beginning
if counter then counter_size = #counter end
if counter and counter_size < EXPIRY_SIZE then
  if counter.err and not counter.err:find('WRONGTYPE', 1, true) then return counter end
  counter, is_damaged = nil, true
elseif counter then
  local code, stored_beginning, _, stored_expiry, following = unpack(EXPIRY, counter)
  if code == EXPIRY_CODE then
    beginning, states_begin, expiry = stored_beginning, following, stored_expiry
    new_states = counter:sub(1, EXPIRY_SIZE)
  end
end
