-- SECTION: what a settlement needs to know about the request
-- Reads  consumption, charges, refundable_until, cost, id, counters_consumed, consumed, endpoint, client_field, parts
-- Sets   entry_content: why the cost may be settled; shard in which a request in parts is committed; time; until when
--        it is refundable; cost; name of the reservation; number of counters; for each counter mode, beginning, key,
--        number of limits, and for each limit algorithm, window, quota, burst (or quota), and the mark by which a refund
--        finds the request, and what it admits beyond its quota (parts/limit.lua); endpoint; client; for the first of several parts the id of the request
--        and the shards of the others
local entry_content = pack('>BI2I8I8I4c16I2', consumption, home_shard, now, refundable_until, charges and 0 or cost, id,
  counters_consumed) .. consumed .. pack('>B', #endpoint) .. endpoint .. pack('>I2', #client_field - 2)
  .. client_field:sub(3) .. parts
