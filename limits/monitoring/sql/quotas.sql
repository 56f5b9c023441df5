-- Readings of how much of each quota the registered clients use. Parameters in the plural are the columns of rows.

-- name: active_clients
-- The registered clients with requests since a time, and their ancestors, whose limits those requests count towards;
-- those that were read longest ago first.
WITH RECURSIVE active AS (
    SELECT id, key, parent_id FROM limits_client
    WHERE key IN (SELECT client_key FROM limits_usage WHERE minute >= %(since)s)
    UNION
    SELECT parent.id, parent.key, parent.parent_id FROM limits_client parent JOIN active ON active.parent_id = parent.id
)
SELECT key FROM active
LEFT JOIN (SELECT client_key, max(read_at) AS read_at FROM limits_quotareading GROUP BY client_key) latest
    ON latest.client_key = active.key
ORDER BY latest.read_at NULLS FIRST, key;

-- name: stale_clients
-- Clients whose readings are old: a limit that they use may have changed, or the client may have been removed.
SELECT client_key FROM (
    SELECT client_key, read_at FROM limits_quotareading
    WHERE read_at < %(before)s
    ORDER BY read_at LIMIT %(count)s
) old
GROUP BY client_key ORDER BY min(read_at);

-- name: reached
-- The highest threshold that each client reached since a time, for each policy.
SELECT client_key, policy, max(mark) FROM limits_quotacrossing
WHERE minute >= %(since)s AND client_key = ANY (%(clients)s)
GROUP BY client_key, policy;

-- name: write_readings
-- Writes the readings, and raises the peak of the month.
INSERT INTO limits_quotareading AS stored
    (client_key, "limit", policy, endpoint, used, capacity, percent, read_at, unused_at, peak_percent, peak_at)
SELECT client, name, policy, endpoint, used, capacity, percent, read_at, unused_at, peak, read_at FROM unnest(
    %(clients)s::text[], %(limits)s::text[], %(policies)s::text[], %(endpoints)s::text[], %(used)s::bigint[],
    %(capacities)s::bigint[], %(percents)s::int[], %(times)s::timestamptz[], %(unused)s::timestamptz[], %(peaks)s::int[]
) AS reading (client, name, policy, endpoint, used, capacity, percent, read_at, unused_at, peak)
ON CONFLICT (client_key, "limit") DO UPDATE SET
    policy = EXCLUDED.policy, endpoint = EXCLUDED.endpoint, used = EXCLUDED.used, capacity = EXCLUDED.capacity,
    percent = EXCLUDED.percent, read_at = EXCLUDED.read_at, unused_at = EXCLUDED.unused_at,
    (peak_percent, peak_at) = (
        SELECT percent, at FROM (VALUES (stored.peak_percent, stored.peak_at), (EXCLUDED.peak_percent, EXCLUDED.peak_at))
            AS peak (percent, at)
        WHERE date_trunc('month', at, 'UTC') = date_trunc('month', EXCLUDED.read_at, 'UTC')
        ORDER BY percent DESC, at LIMIT 1
    );

-- name: write_peaks
-- Raises the peaks of the month of each reading.
INSERT INTO limits_quotapeak AS stored (client_key, "limit", used, capacity, percent, month, at)
SELECT client, name, peak_used, capacity, peak, date_trunc('month', read_at AT TIME ZONE 'UTC'), read_at FROM unnest(
    %(clients)s::text[], %(limits)s::text[], %(peaks_used)s::bigint[], %(capacities)s::bigint[], %(peaks)s::int[],
    %(times)s::timestamptz[]
) AS reading (client, name, peak_used, capacity, peak, read_at)
WHERE peak > 0
ON CONFLICT (client_key, "limit", month) DO UPDATE
SET used = EXCLUDED.used, capacity = EXCLUDED.capacity, percent = EXCLUDED.percent, at = EXCLUDED.at
WHERE EXCLUDED.percent > stored.percent;

-- name: remove_other_readings
-- Removes the readings of limits that the clients no longer have. Returns their number.
WITH removed AS (
    DELETE FROM limits_quotareading stored
    WHERE client_key = ANY (%(of)s) AND NOT EXISTS (
        SELECT FROM unnest(%(clients)s::text[], %(limits)s::text[]) AS reading (client, name)
        WHERE client = stored.client_key AND name = stored."limit"
    )
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: set_unused
-- Sets readings of limits that are as if never used to zero, a limited number. Returns the number.
WITH changed AS (
    UPDATE limits_quotareading SET used = 0, percent = 0
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM limits_quotareading WHERE percent > 0 AND unused_at <= %(now)s LIMIT %(count)s
    ))
    RETURNING 1
)
SELECT count(*) FROM changed;

-- name: begin_month
-- Begins the peak of a new month with the latest reading, for a limited number of rows. Returns the number.
WITH changed AS (
    UPDATE limits_quotareading SET peak_percent = percent, peak_at = %(now)s
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM limits_quotareading
        WHERE peak_at < date_trunc('month', %(now)s::timestamptz, 'UTC') LIMIT %(count)s
    ))
    RETURNING 1
)
SELECT count(*) FROM changed;
