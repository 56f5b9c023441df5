-- Writing counts that were drained from the store. Parameters in the plural are the columns of rows.

-- name: take_ids
-- Inserts the ids of parcels, and returns those that are new: only their counts are added.
INSERT INTO limits_usageparcel (id, written_at) SELECT unnest(%(ids)s::text[]), now()
ON CONFLICT DO NOTHING RETURNING id;

-- name: add_usage
-- Adds requests and cost by outcome.
INSERT INTO limits_usage AS stored (minute, client_key, endpoint, outcome, requests, cost)
SELECT * FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(outcomes)s::text[],
    %(requests)s::bigint[], %(costs)s::bigint[]
)
ON CONFLICT (minute, client_key, endpoint, outcome)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests, cost = stored.cost + EXCLUDED.cost;

-- name: add_denials
-- Adds denials by policy.
INSERT INTO limits_policydenial AS stored (minute, client_key, endpoint, policy, mode, requests)
SELECT * FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[], %(modes)s::text[],
    %(requests)s::bigint[]
)
ON CONFLICT (minute, client_key, endpoint, policy, mode)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests;

-- name: add_quota_thresholds
-- Adds requests that reached a threshold of a quota.
INSERT INTO limits_quotacrossing AS stored (minute, client_key, endpoint, policy, mark, requests)
SELECT * FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[], %(marks)s::int[],
    %(requests)s::bigint[]
)
ON CONFLICT (minute, client_key, endpoint, policy, mark)
DO UPDATE SET requests = stored.requests + EXCLUDED.requests;

-- name: add_settlements
-- Adds the figures of reservations and settlements.
INSERT INTO limits_settlement AS stored (
    minute, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
SELECT * FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(reserved)s::bigint[],
    %(settlements)s::bigint[], %(settled)s::bigint[], %(refunded)s::bigint[], %(debited)s::bigint[],
    %(overdrawn)s::bigint[]
)
ON CONFLICT (minute, client_key, endpoint) DO UPDATE SET
    reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
    settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
    debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn;

-- name: add_settlement_totals
-- Adds the same to the totals of each endpoint. Sorted: two concurrent drains wait for each other without a deadlock.
INSERT INTO limits_settlementtotal AS stored (
    endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
SELECT endpoint, sum(reserved), sum(settlements), sum(settled), sum(refunded), sum(debited), sum(overdrawn)
FROM unnest(
    %(endpoints)s::text[], %(reserved)s::bigint[], %(settlements)s::bigint[], %(settled)s::bigint[],
    %(refunded)s::bigint[], %(debited)s::bigint[], %(overdrawn)s::bigint[]
) AS counted (endpoint, reserved, settlements, settled, refunded, debited, overdrawn)
GROUP BY 1 ORDER BY 1
ON CONFLICT (endpoint) DO UPDATE SET
    reserved = stored.reserved + EXCLUDED.reserved, settlements = stored.settlements + EXCLUDED.settlements,
    settled = stored.settled + EXCLUDED.settled, refunded = stored.refunded + EXCLUDED.refunded,
    debited = stored.debited + EXCLUDED.debited, overdrawn = stored.overdrawn + EXCLUDED.overdrawn;

-- name: note_late_usage
-- Records usage that arrived late, by hour, besides adding it.
INSERT INTO limits_latecount (arrived, hour, client_key, endpoint, outcome, requests, cost)
SELECT %(arrived)s, date_trunc('hour', minute, 'UTC'), client_key, endpoint, outcome, sum(requests), sum(cost)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(outcomes)s::text[],
    %(requests)s::bigint[], %(costs)s::bigint[]
) AS late (minute, client_key, endpoint, outcome, requests, cost)
GROUP BY 2, 3, 4, 5;

-- name: note_late_denials
-- The same for denials by policy.
INSERT INTO limits_latecount (arrived, hour, client_key, endpoint, policy, mode, requests)
SELECT %(arrived)s, date_trunc('hour', minute, 'UTC'), client_key, endpoint, policy, mode, sum(requests)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[], %(modes)s::text[],
    %(requests)s::bigint[]
) AS late (minute, client_key, endpoint, policy, mode, requests)
GROUP BY 2, 3, 4, 5, 6;

-- name: note_late_settlements
-- The same for settlements.
INSERT INTO limits_latecount (
    arrived, hour, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn
)
SELECT
    %(arrived)s, date_trunc('hour', minute, 'UTC'), client_key, endpoint,
    sum(reserved), sum(settlements), sum(settled), sum(refunded), sum(debited), sum(overdrawn)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(reserved)s::bigint[],
    %(settlements)s::bigint[], %(settled)s::bigint[], %(refunded)s::bigint[], %(debited)s::bigint[],
    %(overdrawn)s::bigint[]
) AS late (minute, client_key, endpoint, reserved, settlements, settled, refunded, debited, overdrawn)
GROUP BY 2, 3, 4;

-- name: add_policy_usage
-- Adds granted units and units over quota.
INSERT INTO limits_policyusage AS stored (minute, client_key, endpoint, policy, granted, over_quota)
SELECT * FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[],
    %(granted)s::bigint[], %(over_quota)s::bigint[]
)
ON CONFLICT (minute, client_key, endpoint, policy)
DO UPDATE SET granted = stored.granted + EXCLUDED.granted, over_quota = stored.over_quota + EXCLUDED.over_quota;

-- name: note_late_policy_usage
-- The same for units beyond quotas.
INSERT INTO limits_latecount (arrived, hour, client_key, endpoint, policy, granted, over_quota)
SELECT %(arrived)s, date_trunc('hour', minute, 'UTC'), client_key, endpoint, policy, sum(granted), sum(over_quota)
FROM unnest(
    %(minutes)s::timestamptz[], %(clients)s::text[], %(endpoints)s::text[], %(policies)s::text[],
    %(granted)s::bigint[], %(over_quota)s::bigint[]
) AS late (minute, client_key, endpoint, policy, granted, over_quota)
GROUP BY 2, 3, 4, 5;
