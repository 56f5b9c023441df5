local level = floor(mode / LEVEL)
mode = mode % LEVEL
if level > 0 then levels[index] = level end
