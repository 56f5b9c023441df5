"""Reading metrics like Prometheus, with a third-party parser."""

from dataclasses import dataclass, field

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """(name, labels) → value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """The sum of a metric over all samples with these labels; 0 if there are none."""
    wanted = set(labels.items())
    return sum(number for (each, has), number in found.items() if each == name and wanted <= has)


@dataclass
class Scraper:
    """Reads the metrics of this process."""

    client: Client = field(default_factory=Client)

    def scrape(self, token: str = "watcher") -> Samples:
        response = self.client.get("/metrics", headers={"authorization": f"Bearer {token}"})
        assert response.status_code == 200, response.content
        return samples(response.content.decode())
