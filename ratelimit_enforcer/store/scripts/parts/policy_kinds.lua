-- The kinds under which the verdicts of a policy are counted, next to the quota thresholds in percent.
local POLICY_DENIED, POLICY_WOULD_DENY = 'd', 's'
