"""gRPC over HTTP/2 without TLS, as an ``asyncio.Protocol``: RFC 9113 and the gRPC protocol, for unary calls first.

``connection.py`` reads frames and ``sending.py`` writes them, ``headers.py`` understands header blocks, ``bounds.py``
lists what a peer may use, and ``calls.py`` is what services see.
"""
