if grants then readings = readings:sub(1, -17) .. pack('>i8i8', granted, 0) end
