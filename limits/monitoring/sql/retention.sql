-- Removing old rows: each statement removes a limited number of rows older than a time, and returns the number of
-- removed rows. Rows are found by ctid, their place in the table: by primary key, as in the ORM, a statement took
-- 7.6 times as long (2026-11-27).

-- name: remove_usage
-- Usage by minute.
WITH removed AS (
    DELETE FROM limits_usage
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_usage WHERE minute < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_denials
-- Denials by policy and minute.
WITH removed AS (
    DELETE FROM limits_policydenial
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policydenial WHERE minute < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_thresholds
-- Quota thresholds reached.
WITH removed AS (
    DELETE FROM limits_quotacrossing
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_quotacrossing WHERE minute < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_usage_hours
-- Usage by hour.
WITH removed AS (
    DELETE FROM limits_usagehour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_usagehour WHERE hour < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_denial_hours
-- Denials by policy and hour.
WITH removed AS (
    DELETE FROM limits_policydenialhour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policydenialhour WHERE hour < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_usage_days
-- Usage by day.
WITH removed AS (
    DELETE FROM limits_usageday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_usageday WHERE day < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_denial_days
-- Denials by policy and day.
WITH removed AS (
    DELETE FROM limits_policydenialday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policydenialday WHERE day < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_settlements
-- Settlements by minute.
WITH removed AS (
    DELETE FROM limits_settlement
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_settlement WHERE minute < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_settlement_hours
-- Settlements by hour.
WITH removed AS (
    DELETE FROM limits_settlementhour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_settlementhour WHERE hour < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_settlement_days
-- Settlements by day.
WITH removed AS (
    DELETE FROM limits_settlementday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_settlementday WHERE day < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_late_counts
-- Counts that arrived late.
WITH removed AS (
    DELETE FROM limits_latecount
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_latecount WHERE hour < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_recorded_clients
-- Earlier plans, tags and roots of clients.
WITH removed AS (
    DELETE FROM limits_recordedclient
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_recordedclient WHERE until_hour < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_recorded_default_plans
-- Earlier default plans.
WITH removed AS (
    DELETE FROM limits_recordeddefaultplan
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_recordeddefaultplan WHERE until_hour < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_quota_peaks
-- Peaks of quotas by month.
WITH removed AS (
    DELETE FROM limits_quotapeak
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_quotapeak WHERE month < %(before)s::date LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_policy_usage
-- Granted units and units over quota by minute.
WITH removed AS (
    DELETE FROM limits_policyusage
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policyusage WHERE minute < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_policy_usage_hours
-- Granted units and units over quota by hour.
WITH removed AS (
    DELETE FROM limits_policyusagehour
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policyusagehour WHERE hour < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_policy_usage_days
-- Granted units and units over quota by day.
WITH removed AS (
    DELETE FROM limits_policyusageday
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM limits_policyusageday WHERE day < %(before)s LIMIT %(count)s))
    RETURNING 1
)
SELECT count(*) FROM removed;
