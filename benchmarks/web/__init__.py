"""Over HTTP: the platform's web server compared with views that do next to nothing, under the load of wrk."""
