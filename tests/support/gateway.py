"""A gateway in this process: the real connections, application and engine thread, in an event loop of a thread."""

import asyncio
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import orjson
import uvloop

from ratelimit_enforcer.engine import Engine
from ratelimit_platform.gateway.process import Gateway


class GatewayInThread:
    """Serves on a free port of loopback until :meth:`stop`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._grpc_listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.grpc_port: int = self._grpc_listener.getsockname()[1]
        self._serves: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), daemon=True)
        self._thread.start()
        self._serves.result(10)

    async def _run(self) -> None:
        self._loop, self._stops = asyncio.get_running_loop(), asyncio.Event()
        gateway = Gateway(self._engine, self._listener, self._grpc_listener)
        await gateway.start()
        self._serves.set_result(None)
        await self._stops.wait()
        await gateway.stop()

    def stop(self) -> None:
        """Drains, and waits for the thread."""
        self._loop.call_soon_threadsafe(self._stops.set)
        self._thread.join()


class GatewayResponse:
    """A response with the attributes of those of Django's test client."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status_code = response.status
        self.headers = dict(response.getheaders())
        self._lower = {name.lower(): value for name, value in self.headers.items()}
        self.content = response.read()
        self.reason_phrase = response.reason

    def __getitem__(self, name: str) -> str:
        return self._lower[name.lower()]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._lower

    has_header = __contains__

    def get(self, name: str, default: Any = None) -> Any:
        """A header."""
        return self._lower.get(name.lower(), default)

    def json(self) -> Any:
        """The JSON value of the body."""
        return orjson.loads(self.content)


class GatewayClient:
    """Sends requests to a gateway over HTTP, with the methods of Django's test client."""

    def __init__(self, gateway: GatewayInThread) -> None:
        self._gateway = gateway

    def generic(
        self,
        method: str,
        path: str,
        data: Any = b"",
        content_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
        *,
        secure: bool = False,
        **environment: str,
    ) -> GatewayResponse:
        """The response to any request. Of ``environment``, only ``CONTENT_TYPE`` and ``REMOTE_ADDR`` are used, an
        address of loopback from which to connect; ``secure``: as a proxy that terminates TLS."""
        text = orjson.dumps(data) if isinstance(data, dict) else data
        body = text.encode() if isinstance(text, str) else text
        sent = {name.replace("_", "-").lower(): value for name, value in (headers or {}).items()}
        sent.setdefault("host", "testserver")
        if secure:
            sent["x-forwarded-proto"] = "https"
        if body or "CONTENT_TYPE" in environment:
            sent.setdefault("content-type", environment.get("CONTENT_TYPE", content_type))
        source = (environment.get("REMOTE_ADDR", ""), 0)
        connection = HTTPConnection("127.0.0.1", self._gateway.port, timeout=30, source_address=source)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, _encoded(value))
            chunked = "transfer-encoding" in sent
            if not chunked:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body if body or chunked else None, encode_chunked=chunked)
            return GatewayResponse(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> GatewayResponse:
        """The response to a GET."""
        return self.generic("GET", path, **options)

    def post(self, path: str, data: Any = b"", **options: Any) -> GatewayResponse:
        """The response to a POST."""
        return self.generic("POST", path, data, **options)


def _encoded(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()
