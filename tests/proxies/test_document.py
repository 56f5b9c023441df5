"""The commands and examples of docs/proxies.md besides the configurations."""

import subprocess

import yaml

from tests.proxies.conftest import KEY, digest
from tests.proxies.documented import block

SECTION = "Which client a request counts for"


def test_the_line_of_the_shell_prints_the_key_of_a_client() -> None:
    printed = subprocess.run(["sh", "-c", block(SECTION, "sh")], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == digest(KEY)


def test_the_example_registers_that_key() -> None:
    (client,) = yaml.safe_load(block(SECTION, "yaml"))["clients"]
    assert client["key"] == digest(KEY)
