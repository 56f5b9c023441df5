"""The gateway: decides for proxies and other callers, behind an event loop."""
