-- SECTION: are the records of the client's ancestors in force?
-- Reads  the ancestors' fields and revisions; record, complete
-- Sets   reply, if one of them is not; for later parts levels[index]: whose policy it is, if it is an ancestor's;
--        is_denied_by[slug]: the policy's denial is counted
local levels, is_denied_by, first_field = {}, {}, argument_offset + 5
if not reply and ARGV[first_field] ~= '' then
  local found = call('HMGET', KEYS[key_offset + 1], ARGV[first_field], ARGV[first_field + 2], ARGV[first_field + 4])
  for level = 1, 3 do
    local known_revision = ARGV[first_field + 2 * level - 1]
    local is_known = found[level] and found[level]:sub(1, #known_revision) == known_revision
    -- As for the client: in a shard that lost its records the caller's are used.
    if known_revision ~= '' and not is_known and (found[level] or complete) then
      reply = {CLIENT_CHANGED, record, found[1], found[2], found[3]}
    end
  end
end
