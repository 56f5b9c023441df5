"""`make run`: everything on one machine, by one command."""
