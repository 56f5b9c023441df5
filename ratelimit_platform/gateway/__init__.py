"""The gateway of `make gateway` and of the image: ``python -m ratelimit_platform.gateway``."""
