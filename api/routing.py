"""Finds the view of a check or reservation by its path, without the URL resolver, which tries one pattern after another
and costs about as much as the view itself."""

from collections.abc import Callable
from typing import Any

from django.http.response import HttpResponseBase

from api.reservations import ChargeView, ReservationsView, ReservationView, SettlementsView, SettlementView
from api.views import BatchView, CheckView, PeekView

View = Callable[..., HttpResponseBase]

_VIEWS: dict[str, View] = {
    "/v1/check": CheckView.as_view(),
    "/v1/check/batch": BatchView.as_view(),
    "/v1/peek": PeekView.as_view(),
    "/v1/reservations": ReservationsView.as_view(),
    "/v1/reservations/settle": SettlementsView.as_view(),
    "/v1/charge": ChargeView.as_view(),
}
_RESERVATION = "/v1/reservations/"
_SETTLE = "/settle"
_reservation, _settlement = ReservationView.as_view(), SettlementView.as_view()


def find(path: str) -> tuple[View, dict[str, Any]] | None:
    """The view for this path and its keyword arguments, equal to those of :data:`api.urls.urlpatterns`; None: the path
    is not that of a check, reservation or charge."""
    if (view := _VIEWS.get(path)) is not None:
        return view, {}
    if not path.startswith(_RESERVATION):
        return None
    name = path.removeprefix(_RESERVATION)
    view = _settlement if name.endswith(_SETTLE) else _reservation
    name = name.removesuffix(_SETTLE)
    return (view, {"reservation": name}) if name and "/" not in name else None
