local clock = redis.call('TIME')
-- Says what became of a request, where it is committed. Changes nothing.
--
-- KEYS  1, 2  the bucket's pending entries: when each is overdue, and what it holds (parts/pending.lua)
--       3     its committed requests
-- ARGV  1     the entry of the client's part
--
-- Returns "committed"; "open" while it can still be committed; what the entry holds where it is overdue,
-- so that it is to be refunded first; false where it is not known, because it was refunded, or because
-- it was committed longer ago than that is remembered.

if redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 'committed' end
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not due then return false end
if tonumber(due) > clock[1] * 1000000 + clock[2] then return 'open' end
return redis.call('HGET', KEYS[2], ARGV[1])
