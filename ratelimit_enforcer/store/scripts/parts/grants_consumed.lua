for _, grant in ipairs(grants or {}) do
  local units = limit_admits and not charges and grant.taken or 0
  limits_consumed = limits_consumed .. pack('>BI4I4I4I8', GRANT, grant.id, grant.amount, units, grant.ends_at)
end
