"""What tools ask a gRPC server: whether it serves, and what its methods are."""

import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest

from gateway.proto.health_pb2 import HealthCheckRequest, HealthCheckResponse
from gateway.proto.reflection_v1_pb2 import ServerReflectionRequest, ServerReflectionResponse
from gateway.rls.service import SERVICE
from tests.engine.rules import simple
from tests.gateway.rls.serving import Server
from tests.support.servers import Store

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


class HealthClient:
    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address)
        coding = {
            "request_serializer": HealthCheckRequest.SerializeToString,
            "response_deserializer": HealthCheckResponse.FromString,
        }
        self._check = channel.unary_unary("/grpc.health.v1.Health/Check", **coding)
        self._watch = channel.unary_stream("/grpc.health.v1.Health/Watch", **coding)

    def check(self, service: str = "") -> int:
        return self._check(HealthCheckRequest(service=service), timeout=10).status

    def watch(self, service: str = "") -> "grpc.Call":
        return self._watch(HealthCheckRequest(service=service), timeout=60)


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    server = Server(store.engine())
    yield server
    server.stop()


def load_rules(store: Store, server: Server) -> None:
    store.publish(simple(3))
    server.engine.refresh()


@pytest.mark.parametrize("service", ["", SERVICE, "grpc.health.v1.Health"])
def test_a_server_serves_once_it_has_rules_and_until_it_drains(store: Store, server: Server, service: str) -> None:
    client = HealthClient(server.address)
    assert client.check(service) == NOT_SERVING
    load_rules(store, server)
    assert client.check(service) == SERVING
    server.in_loop(server.methods.health.drain)
    assert client.check(service) == NOT_SERVING


def test_an_unknown_service_is_not_found(server: Server) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        HealthClient(server.address).check("shop")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_those_who_watch_are_told_each_change(store: Store, server: Server) -> None:
    watching = HealthClient(server.address).watch(SERVICE)
    assert next(watching).status == NOT_SERVING
    load_rules(store, server)
    server.in_loop(server.methods.health.update)
    server.in_loop(server.methods.health.update)
    assert next(watching).status == SERVING
    server.in_loop(server.methods.health.drain)
    assert next(watching).status == NOT_SERVING
    watching.cancel()


def test_those_who_watch_an_unknown_service_are_told_so(server: Server) -> None:
    watching = HealthClient(server.address).watch("shop")
    assert next(watching).status == HealthCheckResponse.SERVICE_UNKNOWN
    watching.cancel()


REFLECTED = """
import sys, grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
database = ProtoReflectionDescriptorDatabase(grpc.insecure_channel(sys.argv[1]))
print(*database.get_services())
pool = DescriptorPool(database)
method = pool.FindServiceByName("envoy.service.ratelimit.v3.RateLimitService").methods_by_name["ShouldRateLimit"]
print(*[field.name for field in method.input_type.fields])
found = pool.FindMessageTypeByName("envoy.extensions.common.ratelimit.v3.RateLimitDescriptor")
print(*[field.name for field in found.fields])
"""
"""In a process of its own: grpcio's messages have the same names as ours."""


def test_a_client_of_reflection_finds_the_services_and_their_messages(server: Server) -> None:
    command = [sys.executable, "-c", REFLECTED, server.address]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    services, request, descriptor = ended.stdout.splitlines()
    assert services.split() == [
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert request == "domain descriptors hits_addend"
    assert descriptor == "entries limit hits_addend is_negative_hits"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    ("asked", "answered", "code"),
    [
        ({"file_by_filename": "gateway/proto/rls.proto"}, "file_descriptor_response", 0),
        ({"file_containing_symbol": "grpc.health.v1.Health"}, "file_descriptor_response", 0),
        ({"file_containing_symbol": "grpc.health.v1.Health.Check"}, "file_descriptor_response", 0),
        ({"file_containing_symbol": "grpc.health.v1.Health.Shop"}, "error_response", 5),
        ({"file_containing_symbol": "shop.Shop"}, "error_response", 5),
        ({"file_by_filename": "/etc/passwd"}, "error_response", 5),
        ({"file_containing_symbol": "google.protobuf.FileDescriptorProto"}, "error_response", 5),
        ({"all_extension_numbers_of_type": "shop.Shop"}, "error_response", 5),
        ({}, "error_response", 12),
    ],
)
def test_both_versions_answer_the_same(
    server: Server, version: str, asked: dict[str, str], answered: str, code: int
) -> None:
    reflect = grpc.insecure_channel(server.address).stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    request = ServerReflectionRequest(host="h", **asked)
    first, second = reflect(iter([request, request]), timeout=10)
    assert first == second
    assert (first.WhichOneof("message_response"), first.error_response.error_code) == (answered, code)
    assert (first.valid_host, first.original_request) == ("h", request)
