"""The text that Prometheus reads: this server's own metrics, and those of the platform behind it."""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from limits.monitoring.prometheus import folder
from limits.monitoring.prometheus.instruments import Instruments
from limits.monitoring.prometheus.readings import readings
from limits.once import once
from limits.store import observers

OPENMETRICS = "application/openmetrics-text"


@once
def instruments() -> Instruments:
    """Those of this process."""
    return Instruments()


def watch() -> None:
    """From now on this process keeps metrics of its decisions."""
    observers.install(instruments())


def exposition(accept: str) -> tuple[bytes, str]:
    """All metrics, and their content type: OpenMetrics for who accepts it, else the older text."""
    registry = CollectorRegistry()
    registry.register(_own_metrics())
    registry.register(PlatformMetrics())
    # The library reads the rest of the header as well, and stumbles over a version that is no number.
    encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
    return encode(registry), content_type


def _own_metrics() -> Collector:
    if folder.VARIABLE not in os.environ:
        return instruments().registry
    path = Path(os.environ[folder.VARIABLE])
    folder.forget_dead_processes(path)
    return MultiProcessCollector(None, str(path))


class PlatformMetrics(Collector):
    """What is the same whichever server is asked, read while it is asked."""

    def describe(self) -> Iterator[Metric]:
        """Nothing is read for the sake of registering."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        for reading in readings():
            yield GaugeMetricFamily(reading.name, reading.text, value=reading.value)
