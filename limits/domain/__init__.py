"""The words of the platform and what they mean: pure Python, no I/O, no clock, no Django."""
