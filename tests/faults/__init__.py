"""Fault injection: real stores are killed, stopped, cut off and emptied under load, and a checker verifies
the answers. The short form runs with all tests; ``make faults`` runs the long form and prints a table."""
