  -- SECTION: are the caller's rules and the caller's client record in force?
  -- Reads  token, client_field, revision, valid_from, valid_until
  -- Sets   token_in_force, complete (both false: none in this shard); record: the client's (false: not
  --        registered). If the answer is no, ends the call with a reply that says why.
  local shard = try('HMGET', KEYS[key_offset + 1], 'token', 'complete', client_field)
  local token_in_force, complete, record = shard[1], shard[2], shard[3]
  local reply
  if shard.err then
    if not shard.err:find('WRONGTYPE', 1, true) then return shard end
    reply = {DAMAGED, 'client records'}
  elseif token_in_force and token_in_force ~= token then
    reply = {RULES_CHANGED, token_in_force}
  elseif record and (revision == '' or record:sub(1, #revision) ~= revision) then
    reply = {CLIENT_CHANGED, record}
  elseif not record and complete and revision ~= '' and revision ~= '0 ' then
    reply = {CLIENT_CHANGED, false}
  elseif not record and not complete and revision == '' then
    reply = {NOT_LOADED}
  elseif now < valid_from or now >= valid_until then
    if client_field ~= 'c:' then
      reply = {OUTSIDE_VALIDITY, now}
    else
      -- A global policy on another master than the client: the client's master has compared the dates. If each
      -- master did, their clocks could disagree about every attempt at the edge of a period.
      now = now < valid_from and valid_from or valid_until - 1
    end
  end
