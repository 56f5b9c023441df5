"""``/v1/forward-auth/PROXY``: a reverse proxy asks about each request before it forwards it (docs/proxies.md).

The views read only the WSGI variables of a request and never its body, so that any server can call them.
"""
