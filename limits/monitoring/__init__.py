"""Usage from Redis to PostgreSQL, and from there to the people whom it concerns."""
