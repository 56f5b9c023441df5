"""HTTP/1.1 (RFC 9112) on asyncio, with httptools' parser (llhttp): only what programs and proxies need."""
