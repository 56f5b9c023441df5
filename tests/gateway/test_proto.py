"""The compiled messages are those of the .proto files."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.proto import rls_pb2

BASE_DIR = Path(__file__).resolve().parents[2]
FOLDER = BASE_DIR / "gateway" / "proto"
SOURCES = sorted(FOLDER.glob("*.proto"))


def test_every_message_is_compiled_from_the_file_as_it_is(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I",
        ".",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
    ]
    subprocess.run([*command, *(str(path.relative_to(BASE_DIR)) for path in SOURCES)], cwd=BASE_DIR, check=True)
    compiled = {path.name: path.read_text() for path in (tmp_path / "gateway" / "proto").iterdir()}
    kept = {path.name: path.read_text() for path in FOLDER.glob("*_pb2.py*")}
    assert kept == compiled, "Run “make proto” and commit the files."


ENVOY = {
    "envoy.service.ratelimit.v3.RateLimitRequest": {"domain": 1, "descriptors": 2, "hits_addend": 3},
    "envoy.service.ratelimit.v3.RateLimitResponse": {
        "overall_code": 1,
        "statuses": 2,
        "response_headers_to_add": 3,
        "request_headers_to_add": 4,
        "raw_body": 5,
        "dynamic_metadata": 6,
    },
    "envoy.service.ratelimit.v3.RateLimitResponse.RateLimit": {"requests_per_unit": 1, "unit": 2, "name": 3},
    "envoy.service.ratelimit.v3.RateLimitResponse.DescriptorStatus": {
        "code": 1,
        "current_limit": 2,
        "limit_remaining": 3,
        "duration_until_reset": 4,
    },
    "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor": {
        "entries": 1,
        "limit": 2,
        "hits_addend": 3,
        "is_negative_hits": 4,
    },
    "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry": {"key": 1, "value": 2},
    "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.RateLimitOverride": {"requests_per_unit": 1, "unit": 2},
    "envoy.config.core.v3.HeaderValue": {"key": 1, "value": 2, "raw_value": 3},
}
"""The names and numbers of Envoy's own files (1.40)."""


@pytest.mark.parametrize("name", ENVOY)
def test_a_message_has_the_names_and_numbers_of_envoy(name: str) -> None:
    found = rls_pb2.DESCRIPTOR.pool.FindMessageTypeByName(name)
    assert {field.name: field.number for field in found.fields} == ENVOY[name]
