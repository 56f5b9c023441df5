-- SECTION: counts new values of attributes
-- Reads  values
if values and values.before == 0 then
  call('SET', values.key, 1, 'EX', values.window)
elseif values then
  call('SET', values.key, values.before + 1, 'KEEPTTL')
end
