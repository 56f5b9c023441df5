-- SECTION: a request whose cost may be settled later
-- Reads  ARGV 11 of the request, now
-- Sets   consumption: why the cost may be settled (parts/codes.lua); id; refundable_until; at_least, max_open
--        charges: nothing is consumed, since the cost is debited at once
--        parts: the id of the request and the shards of the other parts, if it is one in parts; packed
--        extra_keys: the index of the first of its additional keys; next_place: how many concurrency limits were read
--        consumed, counters_consumed: the counters from which the request consumes, packed, and their number
--        taken: the keys of the places that the request takes, and until when
--        bucket_room, available: the tokens in a bucket, and the cost that all enforcing limits admit
local consumption, extra_keys, ttl, at_least, max_open, id, parts_at =
  unpack('>BI2I8I4I4c16', ARGV[argument_offset + 11])
local parts = ARGV[argument_offset + 11]:sub(parts_at)
local charges = consumption == CHARGE or consumption == CHARGE_PART
local refundable_until, next_place, consumed, counters_consumed, taken = now + ttl, 0, '', 0, {}
local bucket_room, available = 0, cost
extra_keys = key_offset + extra_keys
