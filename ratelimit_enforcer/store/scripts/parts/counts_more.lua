counts_more = counts_more or consumption == RESERVATION
