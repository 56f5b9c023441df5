"""Traces and metrics of the platform's processes by OpenTelemetry, if its standard variables name a receiver
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). Nothing is imported otherwise."""

import logging
import os
import threading
from collections.abc import Callable
from multiprocessing.util import Finalize

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ratelimit_enforcer import telemetry

MIDDLEWARE = "ratelimit_platform.tracing.TraceContextMiddleware"

_RECEIVERS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
)
_SWITCH = "OTEL_SDK_DISABLED"
_DEFAULTS = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}

FLUSH_SECONDS = 3.0

logger = logging.getLogger(__name__)


def is_configured() -> bool:
    """Whether a variable names a receiver or an exporter, and none switches the SDK off."""
    is_off = os.environ.get(_SWITCH, "").strip().lower() == "true"
    return not is_off and any(os.environ.get(name) for name in _RECEIVERS)


def start(process: str) -> None:
    """Sends spans and metrics of this process from now on, as the service ``ratelimit-PROCESS`` unless
    ``OTEL_SERVICE_NAME`` is set. A process without the packages logs a warning and continues."""
    try:
        _configure(process)
        telemetry.start()
    except ImportError as error:
        logger.warning("OpenTelemetry is configured, and not installed: %s (docs/opentelemetry.md).", error)


def _configure(process: str) -> None:
    """Configures the SDK, unless the process was started by ``opentelemetry-instrument``, which did."""
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator
    from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

    class Configurator(_OTelSDKConfigurator):
        """What a distribution subclasses."""

    for name, value in (_DEFAULTS | {"OTEL_SERVICE_NAME": f"ratelimit-{process}"}).items():
        os.environ[name] = os.environ.get(name) or value
    if isinstance(get_tracer_provider(), ProxyTracerProvider):
        Configurator().configure()
        # A process of `multiprocessing`, such as one of granian, does not call what `atexit` has.
        Finalize(None, flush, exitpriority=0)


def flush() -> None:
    """Sends what has not been sent yet, for at most :data:`FLUSH_SECONDS`: the SDK would wait for a receiver that does
    not answer."""
    thread = threading.Thread(target=_flush, daemon=True)
    thread.start()
    thread.join(FLUSH_SECONDS)


def _flush() -> None:
    from opentelemetry.metrics import get_meter_provider
    from opentelemetry.trace import get_tracer_provider

    for provider in (get_tracer_provider(), get_meter_provider()):
        if hasattr(provider, "force_flush"):
            provider.force_flush()


class TraceContextMiddleware:
    """Lets spans of a request belong to the trace of its caller."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if telemetry.started is None:
            return self._get_response(request)
        with telemetry.started.called_by(request.META):
            return self._get_response(request)
