-- Change sets that are tried on a share of the clients. Only requests that rules admitted or denied are read. Clients have
-- at most four levels.

-- name: allow_memory
-- The sums of a million clients fit into memory; by default, PostgreSQL would write them to files.
SELECT set_config('work_mem', '64MB', true);

-- name: requests_of_clients
-- The key of each client, of its root, the tags of the root, the requests of the client and the denied ones.
SELECT
    sums.client_key, coalesce(highest.key, grandparent.key, parent.key, sums.client_key),
    coalesce(highest.tags, grandparent.tags, parent.tags, client.tags), sums.requests, sums.denied
FROM (
    SELECT
        client_key, sum(requests)::bigint AS requests,
        coalesce(sum(requests) FILTER (WHERE outcome = 'denied'), 0)::bigint AS denied
    FROM (
        SELECT hour AS moment, client_key, outcome, requests FROM limits_usagehour
        WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
        UNION ALL
        SELECT minute, client_key, outcome, requests FROM limits_usage
        WHERE minute >= %(begin)s AND minute < %(first_hour)s
        UNION ALL
        SELECT minute, client_key, outcome, requests FROM limits_usage
        WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
    ) AS rows
    WHERE outcome IN ('admitted', 'denied')
    GROUP BY 1
) AS sums
LEFT JOIN limits_client AS client ON client.key = sums.client_key
LEFT JOIN limits_client AS parent ON parent.id = client.parent_id
LEFT JOIN limits_client AS grandparent ON grandparent.id = parent.parent_id
LEFT JOIN limits_client AS highest ON highest.id = grandparent.parent_id;

-- name: requests_of_roots_by_hour
-- The key of each root, its tags, the hour, and the requests of the root and of all below it, with the denied ones.
SELECT
    coalesce(highest.key, grandparent.key, parent.key, sums.client_key),
    coalesce(highest.tags, grandparent.tags, parent.tags, client.tags), sums.hour,
    sum(sums.requests)::bigint, sum(sums.denied)::bigint
FROM (
    SELECT
        client_key, date_trunc('hour', moment, 'UTC') AS hour, sum(requests) AS requests,
        coalesce(sum(requests) FILTER (WHERE outcome = 'denied'), 0) AS denied
    FROM (
        SELECT hour AS moment, client_key, outcome, requests FROM limits_usagehour
        WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
        UNION ALL
        SELECT minute, client_key, outcome, requests FROM limits_usage
        WHERE minute >= %(begin)s AND minute < %(first_hour)s
        UNION ALL
        SELECT minute, client_key, outcome, requests FROM limits_usage
        WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
    ) AS rows
    WHERE outcome IN ('admitted', 'denied')
    GROUP BY 1, 2
) AS sums
LEFT JOIN limits_client AS client ON client.key = sums.client_key
LEFT JOIN limits_client AS parent ON parent.id = client.parent_id
LEFT JOIN limits_client AS grandparent ON grandparent.id = parent.parent_id
LEFT JOIN limits_client AS highest ON highest.id = grandparent.parent_id
WHERE sums.client_key <> ''
GROUP BY 1, 2, 3;
