"""Web server, worker, beat and stores as `make` starts and ends them."""
