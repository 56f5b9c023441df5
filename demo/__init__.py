"""A small shop protected by the limits, and simulated traffic to it."""
