"""gRPC over HTTP/2 without TLS, as an ``asyncio.Protocol``: RFC 9113 and the gRPC protocol, for unary calls first.

``connection.py`` reads and writes frames, ``headers.py`` understands header blocks, ``calls.py`` is what services use.
"""
