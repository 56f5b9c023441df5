"""Draining usage from Redis to PostgreSQL, and reporting on it: figures, alerts, metrics."""
