-- The metrics of alert rules, and the figures behind them. Usage and denials are read as described in figures.sql.
--
-- A filter that a rule does not have is NULL, and group_by is empty for a rule without groups. psycopg binds parameters
-- on the client, as literals, so PostgreSQL plans each rule without the conditions that do not apply, and without the
-- join if there is no filter on the plan. A client is on its present plan and on those of its ancestors; the default
-- plan includes roots without a plan, and unregistered callers.

-- fragment: is_on
(
    client.plan_id = %({parameter})s
    OR (%({parameter}_is_default)s AND client.plan_id IS NULL AND client.parent_id IS NULL)
    -- Ancestors are looked up only for clients that have any.
    OR (client.parent_id IS NOT NULL AND EXISTS (
        SELECT FROM limits_client AS one
        LEFT JOIN limits_client AS two ON two.id = one.parent_id
        LEFT JOIN limits_client AS three ON three.id = two.parent_id
        WHERE one.id = client.parent_id AND (
            %({parameter})s IN (one.plan_id, two.plan_id, three.plan_id)
            OR (%({parameter}_is_default)s AND CASE
                WHEN three.id IS NOT NULL THEN three.plan_id WHEN two.id IS NOT NULL THEN two.plan_id ELSE one.plan_id
            END IS NULL)
        )
    ))
)

-- name: denied_requests
-- Denied requests of each group, if at least as many as the threshold.
SELECT
    CASE %(group_by)s::text WHEN 'client' THEN client_key WHEN 'endpoint' THEN endpoint ELSE '' END,
    sum(requests)::bigint
FROM (
    SELECT client_key, endpoint, outcome, requests FROM limits_usagehour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE outcome = 'denied'
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
GROUP BY 1 HAVING sum(requests) >= %(threshold)s AND sum(requests) >= %(min_requests)s
ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: denials_by_policies
-- The same for a rule about policies: a request that two policies denied counts for each of them.
SELECT
    CASE %(group_by)s::text
        WHEN 'client' THEN client_key WHEN 'endpoint' THEN endpoint WHEN 'policy' THEN policy ELSE ''
    END,
    sum(requests)::bigint
FROM (
    SELECT client_key, endpoint, policy, mode, requests FROM limits_policydenialhour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, mode, requests FROM limits_policydenial
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, mode, requests FROM limits_policydenial
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE mode = 'enforce'
    AND (%(policy)s::text IS NULL OR policy = %(policy)s)
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
GROUP BY 1 HAVING sum(requests) >= %(threshold)s AND sum(requests) >= %(min_requests)s
ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: denied_ratio
-- Denied requests as a fraction of all requests of each group, if at least the threshold.
SELECT
    CASE %(group_by)s::text WHEN 'client' THEN client_key WHEN 'endpoint' THEN endpoint ELSE '' END,
    sum(requests) FILTER (WHERE outcome = 'denied') / nullif(sum(requests), 0)
FROM (
    SELECT client_key, endpoint, outcome, requests FROM limits_usagehour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
GROUP BY 1 HAVING sum(requests) FILTER (WHERE outcome = 'denied') / nullif(sum(requests), 0) >= %(threshold)s
    AND sum(requests) >= %(min_requests)s
ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: requests_under_policy
-- The requests that a policy applied to: those on its endpoint, by clients of its plan, within the rule's filters.
SELECT coalesce(sum(requests), 0)::bigint
FROM (
    SELECT client_key, endpoint, outcome, requests FROM limits_usagehour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
    AND (%(policy_endpoint)s::text IS NULL OR endpoint = %(policy_endpoint)s)
    AND (%(policy_plan)s::bigint IS NULL OR {is_on(policy_plan)});

-- name: quota_usage_ratio
-- The highest quota threshold that each group reached, as a fraction.
SELECT
    CASE %(group_by)s::text
        WHEN 'client' THEN client_key WHEN 'endpoint' THEN endpoint WHEN 'policy' THEN policy ELSE ''
    END,
    max(mark) / 100.0
FROM limits_quotacrossing
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE minute >= %(begin)s AND minute < %(end)s AND mark >= %(min_mark)s
    -- Where a policy counts all clients together, no single client reached the quota.
    AND (%(group_by)s <> 'client' OR client_key <> '')
    AND (%(policy)s::text IS NULL OR policy = %(policy)s)
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
GROUP BY 1 HAVING sum(requests) >= %(min_requests)s
ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: most_denied_requests
-- The clients and endpoints with the most denied requests of one group.
SELECT client_key, endpoint, sum(requests)::bigint
FROM (
    SELECT client_key, endpoint, outcome, requests FROM limits_usagehour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, outcome, requests FROM limits_usage
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE outcome = 'denied'
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
    AND CASE %(group_by)s::text
        WHEN 'client' THEN client_key = %(group)s WHEN 'endpoint' THEN endpoint = %(group)s ELSE true
    END
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(count)s;

-- name: most_denials_by_policies
-- The same for a rule about policies.
SELECT client_key, endpoint, sum(requests)::bigint
FROM (
    SELECT client_key, endpoint, policy, mode, requests FROM limits_policydenialhour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, mode, requests FROM limits_policydenial
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, mode, requests FROM limits_policydenial
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE mode = 'enforce'
    AND (%(policy)s::text IS NULL OR policy = %(policy)s)
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
    AND CASE %(group_by)s::text
        WHEN 'client' THEN client_key = %(group)s WHEN 'endpoint' THEN endpoint = %(group)s
        WHEN 'policy' THEN policy = %(group)s ELSE true
    END
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(count)s;

-- name: highest_quota_usage
-- The clients and policies with the highest quota threshold reached in one group.
SELECT client_key, policy, max(mark)
FROM limits_quotacrossing
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE minute >= %(begin)s AND minute < %(end)s AND mark >= %(min_mark)s
    -- Where a policy counts all clients together, no single client reached the quota.
    AND (%(group_by)s <> 'client' OR client_key <> '')
    AND (%(policy)s::text IS NULL OR policy = %(policy)s)
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
    AND CASE %(group_by)s::text
        WHEN 'client' THEN client_key = %(group)s WHEN 'endpoint' THEN endpoint = %(group)s
        WHEN 'policy' THEN policy = %(group)s ELSE true
    END
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(count)s;

-- name: overdrawn_cost
-- Overdrawn cost of each group, if at least the threshold, read from the partial indexes of such rows.
SELECT
    CASE %(group_by)s::text WHEN 'client' THEN client_key WHEN 'endpoint' THEN endpoint ELSE '' END,
    sum(overdrawn)::bigint
FROM (
    SELECT client_key, endpoint, overdrawn FROM limits_settlementhour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, overdrawn FROM limits_settlement
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, overdrawn FROM limits_settlement
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE overdrawn > 0
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
GROUP BY 1 HAVING sum(overdrawn) >= %(threshold)s
ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: most_overdrawn_cost
-- The clients and endpoints with the highest overdrawn cost of one group.
SELECT client_key, endpoint, sum(overdrawn)::bigint
FROM (
    SELECT client_key, endpoint, overdrawn FROM limits_settlementhour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, overdrawn FROM limits_settlement
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, overdrawn FROM limits_settlement
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE overdrawn > 0
    AND (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
    AND CASE %(group_by)s::text
        WHEN 'client' THEN client_key = %(group)s WHEN 'endpoint' THEN endpoint = %(group)s ELSE true
    END
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(count)s;

-- name: units_over_quota
-- Units over quota, less those refunded, by group.
SELECT
    CASE %(group_by)s::text
        WHEN 'client' THEN client_key WHEN 'endpoint' THEN rows.endpoint WHEN 'policy' THEN policy ELSE ''
    END,
    sum(over_quota)::bigint
FROM (
    SELECT client_key, endpoint, policy, over_quota FROM limits_policyusagehour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, over_quota FROM limits_policyusage
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, over_quota FROM limits_policyusage
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR rows.endpoint = %(endpoint)s)
    AND (%(policy)s::text IS NULL OR policy = %(policy)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
GROUP BY 1 HAVING sum(over_quota) >= %(threshold)s
ORDER BY 2 DESC, 1 LIMIT %(count)s;

-- name: most_units_over_quota
-- The clients and policies with the most units over quota of one group.
SELECT client_key, policy, sum(over_quota)::bigint
FROM (
    SELECT client_key, endpoint, policy, over_quota FROM limits_policyusagehour
    WHERE hour >= %(first_hour)s AND hour < %(last_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, over_quota FROM limits_policyusage
    WHERE minute >= %(begin)s AND minute < %(first_hour)s
    UNION ALL
    SELECT client_key, endpoint, policy, over_quota FROM limits_policyusage
    WHERE minute >= %(rolled_up_until)s AND minute < %(end)s
) AS rows
LEFT JOIN limits_client AS client ON client.key = client_key
WHERE (%(client)s::text IS NULL OR client_key = %(client)s)
    AND (%(endpoint)s::text IS NULL OR rows.endpoint = %(endpoint)s)
    AND (%(policy)s::text IS NULL OR policy = %(policy)s)
    AND (%(plan)s::bigint IS NULL OR {is_on(plan)})
    AND CASE %(group_by)s::text
        WHEN 'client' THEN client_key = %(group)s WHEN 'endpoint' THEN rows.endpoint = %(group)s
        WHEN 'policy' THEN policy = %(group)s ELSE true
    END
GROUP BY 1, 2 HAVING sum(over_quota) > 0 ORDER BY 3 DESC, 1, 2 LIMIT %(count)s;
