"""The platform over HTTP, compared with minimal views, under load from wrk."""
