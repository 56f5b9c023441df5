  grants_taken = nil
