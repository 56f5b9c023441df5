"""The URLs of the API."""

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from api.errors import unknown_address
from api.forward_auth.views import EnvoyView, ForwardAuthView
from api.management.alerts import AlertAcknowledgeView, AlertSilenceView, AlertsView, AlertView
from api.management.changes import (
    ChangePublishView,
    ChangeScheduleView,
    ChangeSimulateView,
    ChangesView,
    ChangeView,
    ChangeWithdrawView,
)
from api.management.config import ConfigView
from api.management.grants import GrantsView, GrantView
from api.management.objects import OBJECT_VIEWS
from api.management.publications import PublicationsView, PublicationView, RestoreView, RevertView
from api.management.reports import UsageReportView
from api.management.views import ClientsView, ClientView, ResetView
from api.metrics import MetricsView
from api.reservations import ChargeView, ReservationsView, ReservationView, SettlementsView, SettlementView
from api.views import (
    BatchView,
    CheckView,
    DocsView,
    HealthView,
    PeekView,
    ProblemPageView,
    ReadinessView,
    SchemaView,
    UsageView,
)


class AnyPath(StringConverter):
    """Any text, also an empty one, with slashes and line breaks."""

    regex = r"(?s:.*)"


register_converter(AnyPath, "any")

urlpatterns = [
    path("v1/check", CheckView.as_view(), name="check"),
    path("v1/check/batch", BatchView.as_view(), name="batch"),
    path("v1/usage", UsageView.as_view(), name="usage"),
    path("v1/peek", PeekView.as_view(), name="peek"),
    path("v1/reservations", ReservationsView.as_view(), name="reservations"),
    path("v1/reservations/settle", SettlementsView.as_view(), name="settlements"),
    path("v1/reservations/<str:reservation>/settle", SettlementView.as_view(), name="settlement"),
    path("v1/reservations/<str:reservation>", ReservationView.as_view(), name="reservation"),
    path("v1/charge", ChargeView.as_view(), name="charge"),
    path("v1/forward-auth/envoy/<any:path>", EnvoyView.as_view(), name="forward-auth-envoy"),
    path("v1/forward-auth/<str:proxy>", ForwardAuthView.as_view(), name="forward-auth"),
    path("v1/clients", ClientsView.as_view(), name="clients"),
    path("v1/clients/<path:key>/reset", ResetView.as_view(), name="client-reset"),
    path("v1/clients/<path:key>", ClientView.as_view(), name="client"),
    path("v1/changes", ChangesView.as_view(), name="changes"),
    path("v1/changes/<int:change>", ChangeView.as_view(), name="change"),
    path("v1/changes/<int:change>/simulate", ChangeSimulateView.as_view(), name="change-simulate"),
    path("v1/changes/<int:change>/schedule", ChangeScheduleView.as_view(), name="change-schedule"),
    path("v1/changes/<int:change>/publish", ChangePublishView.as_view(), name="change-publish"),
    path("v1/changes/<int:change>/withdraw", ChangeWithdrawView.as_view(), name="change-withdraw"),
    path("v1/grants", GrantsView.as_view(), name="grants"),
    path("v1/grants/<int:grant>", GrantView.as_view(), name="grant"),
    *(path(f"v1/{name}", views[0].as_view(), name=name) for name, views in OBJECT_VIEWS.items()),
    *(path(f"v1/{name}/<path:key>", views[1].as_view(), name=f"{name}-object") for name, views in OBJECT_VIEWS.items()),
    path("v1/alerts", AlertsView.as_view(), name="alerts"),
    path("v1/alerts/<int:alert>", AlertView.as_view(), name="alert"),
    path("v1/alerts/<int:alert>/acknowledge", AlertAcknowledgeView.as_view(), name="alert-acknowledge"),
    path("v1/alerts/<int:alert>/silence", AlertSilenceView.as_view(), name="alert-silence"),
    path("v1/reports/usage", UsageReportView.as_view(), name="usage-report"),
    path("v1/config", ConfigView.as_view(), name="config"),
    path("v1/publications", PublicationsView.as_view(), name="publications"),
    path("v1/publications/<int:version>", PublicationView.as_view(), name="publication"),
    path("v1/publications/<int:version>/restore", RestoreView.as_view(), name="publication-restore"),
    path("v1/publications/<int:version>/revert", RevertView.as_view(), name="publication-revert"),
    path("healthz", HealthView.as_view(), name="healthz"),
    path("readyz", ReadinessView.as_view(), name="readyz"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("problems/<slug:name>", ProblemPageView.as_view(), name="problem"),
    path("api/schema/", SchemaView.as_view(), name="api-schema"),
    path("api/docs/", DocsView.as_view(), name="api-docs"),
    re_path(r"^v1(?:/|$)", unknown_address),
]
