-- Figures for the admin. Each query reads whole hours from the hours table, and the minutes before and after them
-- from the minutes table: see TimeRange in rollups.py.

-- name: requests_by_hour
-- Requests of all clients by hour and outcome.
SELECT date_trunc('hour', moment, 'UTC'), outcome, sum(requests)::bigint
FROM (
    SELECT hour AS moment, outcome, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT minute, outcome, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT minute, outcome, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
GROUP BY 1, 2;

-- name: clients_by_hour
-- Requests of some clients, all together, by hour and outcome.
SELECT date_trunc('hour', moment, 'UTC'), outcome, sum(requests)::bigint
FROM (
    SELECT hour AS moment, client_key, outcome, requests FROM limits_usagehour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT minute, client_key, outcome, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT minute, client_key, outcome, requests FROM limits_usage
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE client_key = ANY(%(names)s)
GROUP BY 1, 2;

-- name: most_denied_clients
-- The clients with the most denied requests, read from the partial indexes of denied rows.
SELECT client_key, sum(requests)::bigint
FROM (
    SELECT client_key, outcome, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, outcome, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, outcome, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE outcome = 'denied'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: requests_of_clients
-- All requests of some clients.
SELECT client_key, sum(requests)::bigint
FROM (
    SELECT client_key, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE client_key = ANY(%(names)s)
GROUP BY 1;

-- name: most_requests_of_clients
-- Those of some clients with the most requests, with the denied ones, and next to each the requests of all of them.
SELECT
    client_key, sum(requests)::bigint, coalesce(sum(requests) FILTER (WHERE outcome = 'denied'), 0)::bigint,
    (sum(sum(requests)) OVER ())::bigint
FROM (
    SELECT client_key, outcome, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, outcome, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, outcome, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE client_key = ANY(%(names)s)
GROUP BY 1 HAVING sum(requests) > 0 ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: most_denied_endpoints
-- The endpoints with the most denied requests, read from the partial indexes of denied rows.
SELECT endpoint, sum(requests)::bigint
FROM (
    SELECT endpoint, outcome, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT endpoint, outcome, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT endpoint, outcome, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE outcome = 'denied'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: requests_on_endpoints
-- All requests on some endpoints.
SELECT endpoint, sum(requests)::bigint
FROM (
    SELECT endpoint, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT endpoint, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT endpoint, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE endpoint = ANY(%(names)s)
GROUP BY 1;

-- name: clients_on_unknown_endpoints
-- The clients with the most requests on unregistered endpoints, and next to each the requests of all clients there.
SELECT client_key, sum(requests)::bigint, (sum(sum(requests)) OVER ())::bigint
FROM (
    SELECT client_key, endpoint, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE endpoint = ''
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: requests_without_client
-- The requests of callers that were counted together.
SELECT coalesce(sum(requests), 0)::bigint
FROM (
    SELECT client_key, requests FROM limits_usagehour WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, requests FROM limits_usage WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, requests FROM limits_usage WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE client_key = '';

-- name: reserved_cost
-- The figures of reservations and settlements, of some clients together, or of all if there are no names.
SELECT
    coalesce(sum(reserved), 0)::bigint, coalesce(sum(settlements), 0)::bigint, coalesce(sum(settled), 0)::bigint,
    coalesce(sum(refunded), 0)::bigint, coalesce(sum(debited), 0)::bigint, coalesce(sum(overdrawn), 0)::bigint
FROM (
    SELECT client_key, reserved, settlements, settled, refunded, debited, overdrawn FROM limits_settlementhour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, reserved, settlements, settled, refunded, debited, overdrawn FROM limits_settlement
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, reserved, settlements, settled, refunded, debited, overdrawn FROM limits_settlement
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE (%(names)s::text[] IS NULL OR client_key = ANY(%(names)s));
