"""Many clients, many endpoints, several masters."""
