"""Redis for the publisher and the drain: longer timeouts than a check, and write access to published data."""
