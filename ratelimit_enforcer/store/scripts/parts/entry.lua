-- SECTION: what a settlement needs to know about the request
-- Reads  consumption, refundable_until, cost, counters_consumed, consumed, endpoint, client_field
-- Sets   entry_content: why the cost may be settled; shard in which a request in parts is committed; time; until when
--        it is refundable; cost; number of counters; for each counter mode, beginning, key, number of limits, and for
--        each limit algorithm, window, quota, burst (or quota), and the mark by which a refund finds the request
--        (parts/limit.lua); endpoint; client
local entry_content = pack('>BI2I8I8I4B', consumption, home_shard, now, refundable_until,
  consumption == CHARGE and 0 or cost, counters_consumed)
  .. consumed .. pack('>B', #endpoint) .. endpoint .. client_field:sub(3)
