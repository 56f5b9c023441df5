"""`make run`: starts everything on one machine with one command."""
