key_offset, argument_offset = extra_keys + 2 + next_place, argument_offset + 1
