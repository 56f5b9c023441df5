if limit_admits and granted_taken > 0 then
  grants_taken = grants_taken or {}
  grants_taken[index] = grants
end
