"""The direct routing of checks agrees with the URL patterns."""

import pytest
from django.urls import resolve

from api import routing

PATHS = [
    *("/v1/check", "/v1/check/batch", "/v1/peek", "/v1/charge", "/v1/reservations", "/v1/reservations/settle"),
    *("/v1/reservations/abc", "/v1/reservations/abc/settle", "/v1/reservations/settle/settle", "/v1/reservations/é"),
]
OTHER_PATHS = ["/v1/check/", "/v1/usage", "/", "/v1/reservations/", "/v1/reservations//settle", "/v1/reservations/a/b"]


@pytest.mark.parametrize("path", PATHS)
def test_a_check_has_the_same_view_and_arguments(path: str) -> None:
    found, match = routing.find(path), resolve(path)

    assert found is not None
    assert (found[0].view_class, found[1]) == (match.func.view_class, match.kwargs)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_other_paths_are_left_to_the_patterns(path: str) -> None:
    assert routing.find(path) is None


@pytest.mark.parametrize("path", ["/v1/reservations//settle", "/v1/reservations/a/b"])
def test_a_path_with_a_slash_in_the_reservation_is_unknown(path: str) -> None:
    assert resolve(path).func.__name__ == "unknown_address"
