-- A request that a policy denies for several of the client and the ancestors is counted once for the policy.
if denying_mode and is_denied_by[slugs[index]] then denying_mode = nil end
if denying_mode then is_denied_by[slugs[index]] = true end
