"""A receiver of OTLP over HTTP, which decodes what arrives."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """``bodies``: everything that arrived, as bytes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []
        self._spans: list[tuple[str, Any]] = []
        self._metrics: set[tuple[str, str]] = set()

    def accept(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = service_of(resource.resource)
                self._spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                service = service_of(of_resource.resource)
                self._metrics |= {(service, each.name) for scope in of_resource.scope_metrics for each in scope.metrics}

    def spans_of(self, trace: str) -> dict[str, Any]:
        """Service → the span in this trace."""
        return {service: span for service, span in list(self._spans) if span.trace_id.hex() == trace}

    def names_of(self, service: str) -> set[str]:
        """The names of the spans of a service."""
        return {span.name for each, span in list(self._spans) if each == service}

    def has_metric(self, service: str, name: str) -> bool:
        return (service, name) in self._metrics


def service_of(resource: Any) -> str:
    return next(each.value.string_value for each in resource.attributes if each.key == "service.name")


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.accept(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()
