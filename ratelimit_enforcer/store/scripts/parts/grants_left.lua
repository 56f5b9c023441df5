-- SECTION: what is left of grants
-- Reads  grants, with key; now
-- Sets   grants: left and net (consumed, less returned) of each; granted: what is left of all
-- Two numbers for each grant only ever increase: what was consumed and what was returned. The publisher creates them. A
-- grant without them, or with damaged ones, has nothing left.
local fields = {}
for _, grant in ipairs(grants) do
  fields[#fields + 1] = grant.id .. 'c'
  fields[#fields + 1] = grant.id .. 'r'
end
local figures = redis.pcall('HMGET', grants.key, _G.unpack(fields))
if figures.err and not figures.err:find('WRONGTYPE', 1, true) then return figures end
granted = 0
for number, grant in ipairs(grants) do
  local consumed_units, returned_units = figures[2 * number - 1], figures[2 * number] or '0'
  grant.left, grant.net, grant.taken = 0, 0, 0
  if consumed_units and consumed_units:find('^%d+$') and returned_units:find('^%d+$')
      and #consumed_units < 16 and #returned_units < 16 then
    grant.net = tonumber(consumed_units) - tonumber(returned_units)
    if now < grant.ends_at then grant.left = math.max(0, math.min(grant.amount, grant.amount - grant.net)) end
  end
  granted = granted + grant.left
end
