"""The domain logic of the administration: pure Python, no Django, no Redis, no clock, no I/O."""
