"""The form of the fault tests: the short one runs with all tests, the long one with ``make faults``."""

import os

LONG = "FAULT_SECONDS" in os.environ
"""The long form also asserts the stated times, which requires an otherwise idle machine."""

SECONDS = float(os.environ.get("FAULT_SECONDS", "1"))
"""The duration of each fault."""

DEADLINE = 0.1 if LONG else 0.3
"""The deadline of a check in seconds."""
