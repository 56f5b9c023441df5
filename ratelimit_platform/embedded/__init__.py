"""Local PostgreSQL and Redis servers for `make run` and the tests."""
