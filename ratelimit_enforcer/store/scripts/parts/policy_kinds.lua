-- The kinds under which a policy is counted, next to the quota thresholds in percent: its verdicts, units that it admitted
-- over quota, and those of them that were refunded.
local POLICY_DENIED, POLICY_WOULD_DENY, POLICY_OVER_QUOTA, POLICY_OVER_QUOTA_RETURNED = 'd', 's', 'q', 'Q'
