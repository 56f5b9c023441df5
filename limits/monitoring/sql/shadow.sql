-- What a policy in shadow mode would have denied. Old days are read from the days table, whole hours from the hours
-- table, and what is not rolled up yet from the minutes table: see RecordedTime in shadow.py.

-- fragment: would_deny
-- The rows of a policy, each with the times between which its requests were made. A row of the first minute of an hour
-- may include requests of the whole hour: they are counted in this way while no drain is running.
SELECT day AS begins, day + interval '24 hours' AS ends, client_key, endpoint, requests FROM limits_policydenialday
WHERE policy = %({parameter})s AND mode = 'shadow' AND day >= %(first_day)s AND day < %(last_day)s
UNION ALL
SELECT hour, hour + interval '1 hour', client_key, endpoint, requests FROM limits_policydenialhour
WHERE policy = %({parameter})s AND mode = 'shadow' AND hour >= %(first_hour)s AND hour < %(last_hour)s
UNION ALL
SELECT
    minute,
    minute + CASE WHEN minute = date_trunc('hour', minute, 'UTC') THEN interval '1 hour' ELSE interval '1 minute' END,
    client_key, endpoint, requests
FROM limits_policydenial
WHERE policy = %({parameter})s AND mode = 'shadow' AND minute >= %(rolled_up_until)s AND minute < %(end)s

-- name: would_deny_by_day
-- Requests by day.
SELECT date_trunc('day', begins, 'UTC'), sum(requests)::bigint FROM ({would_deny(policy)}) AS rows GROUP BY 1;

-- name: would_deny_by_client
-- The clients whose keys begin with a text, those with the most requests first, each with the times between which the
-- first and the last request was made, and next to each the number of all these clients.
SELECT client_key, sum(requests)::bigint, min(begins), min(ends), max(begins), max(ends), count(*) OVER ()
FROM ({would_deny(policy)}) AS rows
WHERE starts_with(client_key, %(beginning)s)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(count)s::bigint OFFSET %(skipped)s;

-- name: requests_of_clients
-- All requests of some clients: on any endpoint if none is given, else on this one and on those of the requests that the
-- policy would have denied.
SELECT client_key, sum(requests)::bigint
FROM (
    SELECT client_key, endpoint, requests FROM limits_usageday
    WHERE client_key = ANY(%(clients)s) AND day >= %(first_day)s AND day < %(last_day)s
    UNION ALL
    SELECT client_key, endpoint, requests FROM limits_usagehour
    WHERE client_key = ANY(%(clients)s) AND hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, requests FROM limits_usage
    WHERE client_key = ANY(%(clients)s) AND minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
WHERE %(on_endpoint)s::text IS NULL OR endpoint = %(on_endpoint)s OR endpoint IN (
    SELECT endpoint FROM ({would_deny(policy)}) AS denials WHERE client_key = ANY(%(clients)s)
)
GROUP BY 1;

-- name: minutes_of_hours
-- The first and the last minute of some clients in some hours; the parameters are columns of rows.
SELECT
    wanted.client_key, wanted.hour, min(minute), min(ends), max(minute), max(ends)
FROM unnest(%(clients)s::text[], %(hours)s::timestamptz[]) AS wanted (client_key, hour)
JOIN LATERAL (
    SELECT
        minute,
        minute + CASE WHEN minute = wanted.hour THEN interval '1 hour' ELSE interval '1 minute' END AS ends
    FROM limits_policydenial AS counted
    WHERE counted.client_key = wanted.client_key AND policy = %(policy)s AND mode = 'shadow'
        AND minute >= wanted.hour AND minute < wanted.hour + interval '1 hour'
) AS minutes ON true
GROUP BY 1, 2;
