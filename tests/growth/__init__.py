"""Complexity tests: twice the input causes at most 2.5 times the work."""
