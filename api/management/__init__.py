"""The part of the API that changes rows: the only one that knows the database."""
