-- The ledger of grants. Parameters in the plural are the columns of rows.

-- name: add_grant_use
-- Adds units of grants to the ledger and to its sums. Counts of grants that were deleted meanwhile are left out; the
-- others cannot be deleted until the transaction ends. Sorted: two concurrent drains wait for
-- each other without a deadlock.
WITH counted AS (
    SELECT * FROM unnest(
        %(grants)s::bigint[], %(hours)s::timestamptz[], %(consumed)s::bigint[], %(returned)s::bigint[]
    ) AS row (grant_id, hour, consumed, returned)
), present AS (
    SELECT id FROM limits_grant WHERE id = ANY (%(grants)s::bigint[]) ORDER BY id FOR KEY SHARE
), ledger AS (
    INSERT INTO limits_grantuse AS stored (grant_id, hour, consumed, returned)
    SELECT grant_id, hour, consumed, returned FROM counted JOIN present ON present.id = counted.grant_id ORDER BY 1, 2
    ON CONFLICT (grant_id, hour) DO UPDATE SET
        consumed = stored.consumed + EXCLUDED.consumed, returned = stored.returned + EXCLUDED.returned
)
INSERT INTO limits_granttotal AS stored (grant_id, consumed, returned)
SELECT grant_id, sum(consumed), sum(returned)
FROM counted JOIN present ON present.id = counted.grant_id GROUP BY 1 ORDER BY 1
ON CONFLICT (grant_id) DO UPDATE SET
    consumed = stored.consumed + EXCLUDED.consumed, returned = stored.returned + EXCLUDED.returned;
