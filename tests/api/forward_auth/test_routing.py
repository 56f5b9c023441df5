"""The direct routing agrees with the URL patterns, and the views need nothing but the WSGI variables."""

from types import SimpleNamespace

import pytest
from django.urls import resolve

from api.forward_auth.views import find_forward_auth
from tests.api.forward_auth.conftest import FORWARDED, HEADERS

PATHS = [
    *("/v1/forward-auth/nginx", "/v1/forward-auth/haproxy", "/v1/forward-auth/envoy", "/v1/forward-auth/envoy/"),
    *("/v1/forward-auth/envoy/api/search", "/v1/forward-auth/envoy//a\nb/é?c", "/v1/forward-auth/envoy/%2F"),
]
OTHER_PATHS = [
    "/v1/forward-auth",
    "/v1/forward-auth/",
    "/v1/forward-auth/nginx/",
    "/v1/check",
    "/",
    "/forward-auth/nginx",
]


@pytest.mark.parametrize("path", PATHS)
def test_the_same_view_and_arguments(path: str) -> None:
    found, match = find_forward_auth(path), resolve(path)
    assert found is not None
    assert (found[0].view_class, found[1]) == (match.func.view_class, match.kwargs)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_other_paths_have_other_views(path: str) -> None:
    assert find_forward_auth(path) is None


@pytest.mark.parametrize("address", [name.partition("?")[0] for name in HEADERS])
def test_a_request_may_be_any_object_with_wsgi_variables(address: str) -> None:
    """A server without Django's request objects calls the same views."""
    headers = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS["nginx"].items() | FORWARDED.items()
    }
    meta = headers | {"HTTP_X_RATELIMIT_TOKEN": "checker", "REMOTE_ADDR": "192.0.2.1", "QUERY_STRING": ""}
    path = f"/v1/forward-auth/{address}"
    found = find_forward_auth(path)
    assert found is not None
    view, arguments = found

    response = view(SimpleNamespace(META=meta, method="GET", path=path), **arguments)

    assert (response.status_code, response.headers["RateLimit-Policy"]) == (200, '"free-search:3600s";q=3;w=3600')
