-- SECTION: the unsettled reservations of the client and of the shard
-- Reads  extra_keys
-- include: sorted_set
for at = extra_keys + 1, extra_keys + 2 do remove_unless_sorted_set(KEYS[at]) end
