"""The back office of the documentation, with a client that is generated from the OpenAPI document."""

import csv
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from limits.models import Client, Grant, Publication, RecordedClient, Usage
from tests.models import rows
from tests.support.web import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("api clients")]

PROGRAM = Path(__file__).parents[2] / "docs" / "back_office.py"


@pytest.fixture(scope="session")
def back_office(python_client: Path) -> Path:
    """A copy of the program beside the generated package."""
    copy = python_client / PROGRAM.name
    copy.write_bytes(PROGRAM.read_bytes())
    return copy


def test_every_operation_is_generated(document: Path, python_client: Path) -> None:
    """The generator leaves out what it does not understand, with a warning: here only the YAML of config files."""
    paths = json.loads(document.read_bytes())["paths"]
    names = {operation["operationId"] for path in paths.values() for operation in path.values()}
    modules = {file.stem for file in (python_client / "rate_limits" / "api").glob("*/[a-z]*.py")}
    assert {re.sub("([A-Z])", r"_\1", name).lower() for name in names} == modules


def test_the_program_is_short_and_its_types_are_those_of_the_client(back_office: Path) -> None:
    assert sum(bool(line.strip()) for line in back_office.read_text().splitlines()) <= 50
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--follow-imports", "silent"]
    done = subprocess.run([*command, back_office.name], cwd=back_office.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_program_does_what_it_says(back_office: Path, server: WebServer, token: str) -> None:
    # The customer was registered before October.
    rows.client("acme")
    RecordedClient.objects.update(from_hour=datetime(2026, 9, 1, tzinfo=UTC))
    october = {"client_key": "acme", "endpoint": "search", "minute": datetime(2026, 10, 15, 12, tzinfo=UTC)}
    Usage.objects.create(**october, outcome="admitted", requests=4_200, cost=4_300)
    Usage.objects.create(**october, outcome="denied", requests=17, cost=17)
    environment = os.environ | {"RATE_LIMITS": server.url, "TOKEN": token}
    # Twice: nothing is sold again.
    for _ in range(2):
        done = subprocess.run([sys.executable, back_office], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        sentence, *lines = done.stdout.splitlines()
        assert sentence == "acme may make 60,000 requests this month."
        (row,) = csv.DictReader(StringIO("\n".join(lines)))
        assert (row["client"], row["requests"], row["denied"], row["cost"]) == ("acme", "4217", "17", "4300")
    assert Client.objects.get(key="acme").plan.slug == "gold"  # type: ignore[union-attr]
    assert Grant.objects.get().amount == 10_000
    assert {row.author for row in Publication.objects.exclude(author="test")} >= {"token back office"}
