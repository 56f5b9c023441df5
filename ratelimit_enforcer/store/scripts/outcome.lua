-- Returns the outcome of a request, from the shard where it is committed. Changes nothing.
--
-- KEYS  1, 2  the shard's pending entries: when each is overdue, and its content (parts/pending.lua)
--       3     the shard's committed requests
-- ARGV  1     the entry of the client's part
--
-- Returns "committed"; "open" while it can still be committed; the content of the entry if it is overdue,
-- so that it must be refunded first; false if it is unknown, because it was refunded, or because it was
-- committed so long ago that it is no longer remembered.

-- include: clock

local entry = ARGV[1]
if redis.call('ZSCORE', KEYS[3], entry) then return 'committed' end
local due = redis.call('ZSCORE', KEYS[1], entry)
if not due then return false end
if tonumber(due) > clock[1] * 1000000 + clock[2] then return 'open' end
return redis.call('HGET', KEYS[2], entry)
