"""Faults: real stores that are killed, stopped, cut off and emptied under load, and a checker that goes
over what was answered. The short form runs with all tests; ``make faults`` runs the long one and
prints a table."""
