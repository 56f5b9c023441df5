"""``make stores``: the tests of the data plane with several versions of Redis and Valkey."""
