"""PostgreSQL and Redis servers of one's own, for `make run` and the tests."""
