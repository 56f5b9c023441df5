local level = levels[reached[1]]
if level then subject = ARGV[argument_offset + 3 + 2 * level]:sub(3) end
