decided[number].grants_taken = grants_taken
