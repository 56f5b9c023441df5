"""The HTTP API: requests in, decisions and problem documents out."""
