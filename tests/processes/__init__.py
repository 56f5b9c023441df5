"""Web server, worker, beat and stores, started and stopped by `make`."""
