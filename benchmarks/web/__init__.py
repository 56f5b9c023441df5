"""Over HTTP: the platform's web server beside views that do next to nothing, under the load of wrk."""
