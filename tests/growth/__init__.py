"""Twice the input is at most two and a half times the work."""
