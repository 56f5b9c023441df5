"""Comparison with other libraries: the cost of a request, and the number of requests admitted over the quota."""
