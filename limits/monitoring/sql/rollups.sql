-- Rolling minutes up into hours, and hours into days. Rows are sorted before they are inserted, so that two concurrent
-- statements wait for each other without a deadlock. Days contain the names of registered clients only: of those that
-- are registered now, or were in the hour.

-- fragment: client_in_hour
CASE WHEN EXISTS (SELECT FROM limits_client WHERE key = {parameter}.client_key) OR EXISTS (
    SELECT FROM limits_recordedclient AS recorded WHERE recorded.client_key = {parameter}.client_key
    AND from_hour <= {parameter}.hour AND (until_hour IS NULL OR until_hour > {parameter}.hour)
) THEN {parameter}.client_key ELSE '' END

-- fragment: client_in_minute
CASE WHEN EXISTS (SELECT FROM limits_client WHERE key = {parameter}.client_key) OR EXISTS (
    SELECT FROM limits_recordedclient AS recorded WHERE recorded.client_key = {parameter}.client_key
    AND from_hour <= {parameter}.minute AND (until_hour IS NULL OR until_hour > {parameter}.minute)
) THEN {parameter}.client_key ELSE '' END

-- name: lock_progress
-- The progress of some rollups. FOR SHARE: a rollup cannot move its mark until the transaction ends.
SELECT work, at FROM limits_progress WHERE work = ANY(%(works)s) FOR SHARE;

-- name: roll_up_usage_into_hours
-- Adds the usage of some minutes to the hours.
INSERT INTO limits_usagehour AS stored (hour, client_key, endpoint, outcome, requests, cost)
SELECT date_trunc('hour', minute, 'UTC'), client_key, endpoint, outcome, sum(requests), sum(cost)
FROM limits_usage WHERE minute >= %(begin)s AND minute < %(end)s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (hour, client_key, endpoint, outcome)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost;

-- name: roll_up_denials_into_hours
-- Adds the denials by policy of some minutes to the hours.
INSERT INTO limits_policydenialhour AS stored (hour, client_key, endpoint, policy, mode, requests)
SELECT date_trunc('hour', minute, 'UTC'), client_key, endpoint, policy, mode, sum(requests)
FROM limits_policydenial WHERE minute >= %(begin)s AND minute < %(end)s
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (hour, client_key, endpoint, policy, mode)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests;

-- name: roll_up_usage_into_days
-- Adds the usage of some hours to the days.
INSERT INTO limits_usageday AS stored (day, client_key, endpoint, outcome, requests, cost)
SELECT
    date_trunc('day', hour, 'UTC'),
    {client_in_hour(limits_usagehour)},
    endpoint, outcome, sum(requests), sum(cost)
FROM limits_usagehour WHERE hour >= %(begin)s AND hour < %(end)s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (day, client_key, endpoint, outcome)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost;

-- name: roll_up_denials_into_days
-- Adds the denials by policy of some hours to the days.
INSERT INTO limits_policydenialday AS stored (day, client_key, endpoint, policy, mode, requests)
SELECT
    date_trunc('day', hour, 'UTC'),
    {client_in_hour(limits_policydenialhour)},
    endpoint, policy, mode, sum(requests)
FROM limits_policydenialhour WHERE hour >= %(begin)s AND hour < %(end)s
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (day, client_key, endpoint, policy, mode)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests;

-- name: add_late_usage_to_hours
-- Adds usage that was drained after its minute had been rolled up to the hours. The parameters are columns of rows.
INSERT INTO limits_usagehour AS stored (hour, client_key, endpoint, outcome, requests, cost)
SELECT date_trunc('hour', minute, 'UTC'), client_key, endpoint, outcome, sum(requests), sum(cost)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(outcomes)s::text[],
    %(requests)s::bigint[], %(costs)s::bigint[]
) AS late (minute, client_key, endpoint, outcome, requests, cost)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (hour, client_key, endpoint, outcome)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost;

-- name: add_late_denials_to_hours
-- The same for denials by policy.
INSERT INTO limits_policydenialhour AS stored (hour, client_key, endpoint, policy, mode, requests)
SELECT date_trunc('hour', minute, 'UTC'), client_key, endpoint, policy, mode, sum(requests)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[], %(modes)s::text[],
    %(requests)s::bigint[]
) AS late (minute, client_key, endpoint, policy, mode, requests)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (hour, client_key, endpoint, policy, mode)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests;

-- name: add_late_usage_to_days
-- Adds usage that was drained after its hour had been rolled up to the days.
INSERT INTO limits_usageday AS stored (day, client_key, endpoint, outcome, requests, cost)
SELECT
    date_trunc('day', minute, 'UTC'),
    {client_in_minute(late)},
    endpoint, outcome, sum(requests), sum(cost)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(outcomes)s::text[],
    %(requests)s::bigint[], %(costs)s::bigint[]
) AS late (minute, client_key, endpoint, outcome, requests, cost)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (day, client_key, endpoint, outcome)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost;

-- name: add_late_denials_to_days
-- The same for denials by policy.
INSERT INTO limits_policydenialday AS stored (day, client_key, endpoint, policy, mode, requests)
SELECT
    date_trunc('day', minute, 'UTC'),
    {client_in_minute(late)},
    endpoint, policy, mode, sum(requests)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[], %(modes)s::text[],
    %(requests)s::bigint[]
) AS late (minute, client_key, endpoint, policy, mode, requests)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (day, client_key, endpoint, policy, mode)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests;

-- name: roll_up_settlements_into_hours
-- Adds the settlements of some minutes to the hours.
INSERT INTO limits_settlementhour AS stored (
    hour, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
SELECT
    date_trunc('hour', minute, 'UTC'), client_key, endpoint,
    sum(reserved), sum(settlements), sum(settled), sum(refunded), sum(debited), sum(overdrawn)
FROM limits_settlement WHERE minute >= %(begin)s AND minute < %(end)s
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (hour, client_key, endpoint) DO UPDATE SET
    reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
    settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
    debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn;

-- name: roll_up_settlements_into_days
-- Adds the settlements of some hours to the days.
INSERT INTO limits_settlementday AS stored (
    day, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
SELECT
    date_trunc('day', hour, 'UTC'),
    {client_in_hour(limits_settlementhour)},
    endpoint, sum(reserved), sum(settlements), sum(settled), sum(refunded), sum(debited), sum(overdrawn)
FROM limits_settlementhour WHERE hour >= %(begin)s AND hour < %(end)s
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (day, client_key, endpoint) DO UPDATE SET
    reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
    settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
    debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn;

-- name: add_late_settlements_to_hours
-- Adds settlements that were drained after their minute had been rolled up to the hours.
INSERT INTO limits_settlementhour AS stored (
    hour, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
SELECT
    date_trunc('hour', minute, 'UTC'), client_key, endpoint,
    sum(reserved), sum(settlements), sum(settled), sum(refunded), sum(debited), sum(overdrawn)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(reserved)s::bigint[],
    %(settlements)s::bigint[], %(settled)s::bigint[], %(refunded)s::bigint[], %(debited)s::bigint[],
    %(overdrawn)s::bigint[]
) AS late (
    minute, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (hour, client_key, endpoint) DO UPDATE SET
    reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
    settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
    debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn;

-- name: add_late_settlements_to_days
-- Adds settlements that were drained after their hour had been rolled up to the days.
INSERT INTO limits_settlementday AS stored (
    day, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
SELECT
    date_trunc('day', minute, 'UTC'),
    {client_in_minute(late)},
    endpoint, sum(reserved), sum(settlements), sum(settled), sum(refunded), sum(debited), sum(overdrawn)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(reserved)s::bigint[],
    %(settlements)s::bigint[], %(settled)s::bigint[], %(refunded)s::bigint[], %(debited)s::bigint[],
    %(overdrawn)s::bigint[]
) AS late (
    minute, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (day, client_key, endpoint) DO UPDATE SET
    reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
    settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
    debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn;

-- name: roll_up_policy_usage_into_hours
-- Adds the granted units and units over quota of some minutes to the hours.
INSERT INTO limits_policyusagehour AS stored (hour, client_key, endpoint, policy, granted, over_quota)
SELECT date_trunc('hour', minute, 'UTC'), client_key, endpoint, policy, sum(granted), sum(over_quota)
FROM limits_policyusage WHERE minute >= %(begin)s AND minute < %(end)s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (hour, client_key, endpoint, policy)
DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota;

-- name: roll_up_policy_usage_into_days
-- Adds the granted units and units over quota of some hours to the days.
INSERT INTO limits_policyusageday AS stored (day, client_key, endpoint, policy, granted, over_quota)
SELECT
    date_trunc('day', hour, 'UTC'),
    {client_in_hour(limits_policyusagehour)},
    endpoint, policy, sum(granted), sum(over_quota)
FROM limits_policyusagehour WHERE hour >= %(begin)s AND hour < %(end)s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (day, client_key, endpoint, policy)
DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota;

-- name: add_late_policy_usage_to_hours
-- Adds units that were drained after their minute had been rolled up to the hours.
INSERT INTO limits_policyusagehour AS stored (hour, client_key, endpoint, policy, granted, over_quota)
SELECT date_trunc('hour', minute, 'UTC'), client_key, endpoint, policy, sum(granted), sum(over_quota)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[],
    %(granted)s::bigint[], %(over_quota)s::bigint[]
) AS late (minute, client_key, endpoint, policy, granted, over_quota)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (hour, client_key, endpoint, policy)
DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota;

-- name: add_late_policy_usage_to_days
-- Adds units that were drained after their hour had been rolled up to the days.
INSERT INTO limits_policyusageday AS stored (day, client_key, endpoint, policy, granted, over_quota)
SELECT
    date_trunc('day', minute, 'UTC'),
    {client_in_minute(late)},
    endpoint, policy, sum(granted), sum(over_quota)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[],
    %(granted)s::bigint[], %(over_quota)s::bigint[]
) AS late (minute, client_key, endpoint, policy, granted, over_quota)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (day, client_key, endpoint, policy)
DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota;
