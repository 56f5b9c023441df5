"""The benchmark table: ``make bench``."""
