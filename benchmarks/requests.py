"""Prepared requests of authenticated users. Independent of the platform, because peers use them too."""

import gc
from collections.abc import Callable
from typing import Any

CLIENTS = 1_000


class Caller:
    """A user with the attributes that throttles read."""

    is_authenticated = True

    def __init__(self, number: int) -> None:
        self.pk = self.id = number


def django_request(number: int, path: str) -> Any:
    """``GET path`` of one user."""
    from django.http import HttpRequest

    request: Any = HttpRequest()
    request.method, request.path, request.path_info = "GET", path, path
    request.META |= {"REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "GET"}
    request.user = Caller(number)
    return request


def drf_request(number: int, path: str) -> Any:
    """The same request as seen by views of Django REST Framework."""
    from rest_framework.request import Request

    bare = django_request(number, path)
    request = Request(bare, authenticators=())
    request.user = bare.user
    return request


def no_requests() -> None:
    """Prepares nothing, for subjects that need only a client's name."""


class Prepared:
    """One request of each of a thousand clients. Renew them before each measurement:
    data that throttles store on requests would accumulate, unlike in a server."""

    def __init__(self, make: Callable[[int, str], Any], path: str) -> None:
        self._make = make
        self._path = path
        self.renew()

    def renew(self) -> None:
        """Creates new requests and excludes them from garbage collection: no server has a thousand requests at once."""
        gc.unfreeze()
        self._requests: list[Any] = []
        gc.collect()
        self._requests = [self._make(number, self._path) for number in range(CLIENTS)]
        gc.freeze()

    def __call__(self, number: int) -> Any:
        """The request of one client; for numbers beyond the thousand it is created on demand."""
        return self._requests[number] if number < CLIENTS else self._make(number, self._path)


def configure(url: str, **settings: Any) -> None:
    """A Django project that uses this Redis for its cache, and little else."""
    import django
    from django.conf import settings as project

    project.configure(
        CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url}},
        REST_FRAMEWORK={"NUM_PROXIES": 0, "UNAUTHENTICATED_USER": None},
        **settings,
    )
    django.setup()
