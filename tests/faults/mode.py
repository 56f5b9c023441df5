"""The short form, which runs with all tests, or the long one: ``make faults``."""

import os

LONG = "FAULT_SECONDS" in os.environ
"""Holds what is found to the times that are stated as well, which needs a machine that does nothing else."""

SECONDS = float(os.environ.get("FAULT_SECONDS", "1"))
"""How long each fault is held."""

DEADLINE = 0.1 if LONG else 0.3
"""Seconds that a check may take."""
