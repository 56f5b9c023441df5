argument_offset = argument_offset + 6
