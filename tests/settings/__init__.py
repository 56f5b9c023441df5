"""Settings and the environment, with what follows from them: connections, logs, bounds, headers."""
