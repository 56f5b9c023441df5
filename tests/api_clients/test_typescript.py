"""A program in TypeScript, with types that are generated from the OpenAPI document."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from limits.models import Client
from tests.support.web import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("api clients")]


def test_the_program_compiles_and_does_what_it_says(typescript_client: Path, server: WebServer, token: str) -> None:
    def run(*command: str) -> str:
        environment = os.environ | {"RATE_LIMITS": server.url, "TOKEN": token}
        done = subprocess.run(command, cwd=typescript_client, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("npx", "--no-install", "tsc")
    assert json.loads(run("node", "built/program.js")) == {
        "registered": "acme",
        "allowed": [True, True, False],
        "retryAfter": "number",
        "unknown": "/problems/not-found",
    }
    assert Client.objects.get(key="acme").name == "Acme Ltd"
