"""A request, with only what the views of checks read."""

from functools import lru_cache
from typing import Any

from django.conf import settings

_WITHOUT_PREFIX = {"CONTENT_TYPE", "CONTENT_LENGTH"}


_MAX_CACHED_LENGTH = 64


def meta_name(name: bytes) -> str | None:
    """The name of a header in ``META``, as in WSGI; None for a name with an underscore, which would be equal to that of
    another header."""
    return _known_name(name) if len(name) <= _MAX_CACHED_LENGTH else _meta_name(name)


def _meta_name(name: bytes) -> str | None:
    if b"_" in name:
        return None
    upper = name.decode("latin-1").upper().replace("-", "_")
    return upper if upper in _WITHOUT_PREFIX else f"HTTP_{upper}"


_known_name = lru_cache(maxsize=256)(_meta_name)


class GatewayRequest:
    """The attributes of Django's ``HttpRequest`` that the views of checks use, without its cost."""

    __slots__ = ("META", "_request_id", "accepted", "auth", "body", "data", "method", "path", "path_info", "position")

    def __init__(self, method: str, path: str, meta: dict[str, str], body: bytes = b"") -> None:
        self.method = method
        self.path = self.path_info = path
        self.META = meta
        self.body = body
        self.position = 0
        self.auth: Any = None
        self.data = b""
        """The bytes of the request with its head, if they arrived alone and in one piece."""
        self.accepted: Any = None
        """What the application derived from an equal head (:mod:`gateway.http1.heads`)."""
        self._request_id: str | None = None

    def is_secure(self) -> bool:
        """Whether the request came over TLS, according to the proxy in front (``SECURE_PROXY_SSL_HEADER``)."""
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        return self.META.get(name, "").split(",", 1)[0].strip() == secure

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes of the body; by default, the rest."""
        end = len(self.body) if size < 0 else self.position + size
        data = self.body[self.position : end]
        self.position += len(data)
        return data
