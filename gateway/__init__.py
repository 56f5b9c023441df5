"""The gateway: checks for programs and proxies without Django's request handling, over HTTP and over gRPC.

One event loop per process reads requests and writes answers (:mod:`gateway.http1`, :mod:`gateway.http2`); one thread
decides (:mod:`gateway.engine_threads`). Views, parsers, problem documents and rules are those of the web server.
"""
