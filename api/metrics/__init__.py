"""``GET /metrics``, the part of the API that reads how the platform itself is."""
