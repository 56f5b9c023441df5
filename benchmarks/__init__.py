"""What the platform costs, beside the least that it could cost and beside its peers."""
