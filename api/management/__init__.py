"""The part of the API that changes rows, and the only part that uses the database."""
