-- Erasing a client from usage: each statement merges a limited number of its rows into the rows without a client, and
-- returns the number of merged rows. Rows are sorted before they are inserted, so that two concurrent statements wait
-- for each other without a deadlock.

-- name: usage_by_minute
-- Usage by minute.
WITH removed AS (
    DELETE FROM limits_usage
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_usage WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING minute, endpoint, outcome, requests, cost
), added AS (
    INSERT INTO limits_usage AS stored (minute, endpoint, outcome, client_key, requests, cost)
    SELECT minute, endpoint, outcome, '', requests, cost FROM removed ORDER BY minute, endpoint, outcome
    ON CONFLICT (minute, endpoint, outcome, client_key)
    DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost
)
SELECT count(*) FROM removed;

-- name: usage_by_hour
-- Usage by hour.
WITH removed AS (
    DELETE FROM limits_usagehour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_usagehour WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING hour, endpoint, outcome, requests, cost
), added AS (
    INSERT INTO limits_usagehour AS stored (hour, endpoint, outcome, client_key, requests, cost)
    SELECT hour, endpoint, outcome, '', requests, cost FROM removed ORDER BY hour, endpoint, outcome
    ON CONFLICT (hour, endpoint, outcome, client_key)
    DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost
)
SELECT count(*) FROM removed;

-- name: usage_by_day
-- Usage by day.
WITH removed AS (
    DELETE FROM limits_usageday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_usageday WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING day, endpoint, outcome, requests, cost
), added AS (
    INSERT INTO limits_usageday AS stored (day, endpoint, outcome, client_key, requests, cost)
    SELECT day, endpoint, outcome, '', requests, cost FROM removed ORDER BY day, endpoint, outcome
    ON CONFLICT (day, endpoint, outcome, client_key)
    DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost
)
SELECT count(*) FROM removed;

-- name: denials_by_minute
-- Denials by policy and minute.
WITH removed AS (
    DELETE FROM limits_policydenial
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policydenial WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING minute, endpoint, policy, mode, requests
), added AS (
    INSERT INTO limits_policydenial AS stored (minute, endpoint, policy, mode, client_key, requests)
    SELECT minute, endpoint, policy, mode, '', requests FROM removed ORDER BY minute, endpoint, policy, mode
    ON CONFLICT (minute, endpoint, policy, mode, client_key)
    DO UPDATE SET requests = stored.requests + EXCLUDED.requests
)
SELECT count(*) FROM removed;

-- name: denials_by_hour
-- Denials by policy and hour.
WITH removed AS (
    DELETE FROM limits_policydenialhour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policydenialhour WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING hour, endpoint, policy, mode, requests
), added AS (
    INSERT INTO limits_policydenialhour AS stored (hour, endpoint, policy, mode, client_key, requests)
    SELECT hour, endpoint, policy, mode, '', requests FROM removed ORDER BY hour, endpoint, policy, mode
    ON CONFLICT (hour, endpoint, policy, mode, client_key)
    DO UPDATE SET requests = stored.requests + EXCLUDED.requests
)
SELECT count(*) FROM removed;

-- name: denials_by_day
-- Denials by policy and day.
WITH removed AS (
    DELETE FROM limits_policydenialday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policydenialday WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING day, endpoint, policy, mode, requests
), added AS (
    INSERT INTO limits_policydenialday AS stored (day, endpoint, policy, mode, client_key, requests)
    SELECT day, endpoint, policy, mode, '', requests FROM removed ORDER BY day, endpoint, policy, mode
    ON CONFLICT (day, endpoint, policy, mode, client_key)
    DO UPDATE SET requests = stored.requests + EXCLUDED.requests
)
SELECT count(*) FROM removed;

-- name: quota_thresholds
-- Quota thresholds reached.
WITH removed AS (
    DELETE FROM limits_quotacrossing
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_quotacrossing WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING minute, endpoint, policy, mark, requests
), added AS (
    INSERT INTO limits_quotacrossing AS stored (minute, endpoint, policy, mark, client_key, requests)
    SELECT minute, endpoint, policy, mark, '', requests FROM removed ORDER BY minute, endpoint, policy, mark
    ON CONFLICT (minute, endpoint, policy, mark, client_key)
    DO UPDATE SET requests = stored.requests + EXCLUDED.requests
)
SELECT count(*) FROM removed;

-- name: settlements_by_minute
-- Settlements by minute.
WITH removed AS (
    DELETE FROM limits_settlement
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_settlement WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING minute, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
), added AS (
    INSERT INTO limits_settlement AS stored (
        minute, endpoint, client_key, reserved, settlements, settled, refunded, debited, overdrawn
    )
    SELECT minute, endpoint, '', reserved, settlements, settled, refunded, debited, overdrawn FROM removed
    ORDER BY minute, endpoint
    ON CONFLICT (minute, endpoint, client_key) DO UPDATE SET
        reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
        settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
        debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn
)
SELECT count(*) FROM removed;

-- name: settlements_by_hour
-- Settlements by hour.
WITH removed AS (
    DELETE FROM limits_settlementhour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_settlementhour WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING hour, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
), added AS (
    INSERT INTO limits_settlementhour AS stored (
        hour, endpoint, client_key, reserved, settlements, settled, refunded, debited, overdrawn
    )
    SELECT hour, endpoint, '', reserved, settlements, settled, refunded, debited, overdrawn FROM removed
    ORDER BY hour, endpoint
    ON CONFLICT (hour, endpoint, client_key) DO UPDATE SET
        reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
        settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
        debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn
)
SELECT count(*) FROM removed;

-- name: settlements_by_day
-- Settlements by day.
WITH removed AS (
    DELETE FROM limits_settlementday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_settlementday WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING day, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
), added AS (
    INSERT INTO limits_settlementday AS stored (
        day, endpoint, client_key, reserved, settlements, settled, refunded, debited, overdrawn
    )
    SELECT day, endpoint, '', reserved, settlements, settled, refunded, debited, overdrawn FROM removed
    ORDER BY day, endpoint
    ON CONFLICT (day, endpoint, client_key) DO UPDATE SET
        reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
        settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
        debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn
)
SELECT count(*) FROM removed;

-- name: policy_usage_by_minute
-- Granted units and units over quota by minute.
WITH removed AS (
    DELETE FROM limits_policyusage
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policyusage WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING minute, endpoint, policy, granted, over_quota
), added AS (
    INSERT INTO limits_policyusage AS stored (minute, endpoint, policy, client_key, granted, over_quota)
    SELECT minute, endpoint, policy, '', granted, over_quota FROM removed ORDER BY minute, endpoint, policy
    ON CONFLICT (minute, endpoint, policy, client_key)
    DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota
)
SELECT count(*) FROM removed;

-- name: policy_usage_by_hour
-- Granted units and units over quota by hour.
WITH removed AS (
    DELETE FROM limits_policyusagehour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policyusagehour WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING hour, endpoint, policy, granted, over_quota
), added AS (
    INSERT INTO limits_policyusagehour AS stored (hour, endpoint, policy, client_key, granted, over_quota)
    SELECT hour, endpoint, policy, '', granted, over_quota FROM removed ORDER BY hour, endpoint, policy
    ON CONFLICT (hour, endpoint, policy, client_key)
    DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota
)
SELECT count(*) FROM removed;

-- name: policy_usage_by_day
-- Granted units and units over quota by day.
WITH removed AS (
    DELETE FROM limits_policyusageday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policyusageday WHERE client_key = %(client)s LIMIT %(count)s))
    RETURNING day, endpoint, policy, granted, over_quota
), added AS (
    INSERT INTO limits_policyusageday AS stored (day, endpoint, policy, client_key, granted, over_quota)
    SELECT day, endpoint, policy, '', granted, over_quota FROM removed ORDER BY day, endpoint, policy
    ON CONFLICT (day, endpoint, policy, client_key)
    DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota
)
SELECT count(*) FROM removed;
