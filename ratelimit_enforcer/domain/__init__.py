"""The domain model: limits, algorithms, rulesets and decisions. Pure Python: no I/O, no clock, no Django."""
