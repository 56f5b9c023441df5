"""``grpc.reflection.v1.ServerReflection`` and its earlier version ``v1alpha``, for tools such as grpcurl."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError

from gateway.http2.calls import Call
from gateway.http2.status import Status
from gateway.proto import health_pb2, reflection_v1_pb2, reflection_v1alpha_pb2, rls_pb2
from gateway.proto.reflection_v1_pb2 import (
    ErrorResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)

FILES = (rls_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_v1_pb2.DESCRIPTOR, reflection_v1alpha_pb2.DESCRIPTOR)

PATHS = tuple(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha"))
"""The messages of both versions are the same on the wire."""


def _with_imports(file: FileDescriptor) -> Iterator[FileDescriptor]:
    yield file
    for imported in file.dependencies:
        yield from _with_imports(imported)


_FILES = {each.name: each for file in FILES for each in _with_imports(file)}
"""Only what the services use: nothing else of this process can be read."""

_METHODS = {
    service.full_name: frozenset(service.methods_by_name)
    for file in FILES
    for service in file.services_by_name.values()
}
"""Service → the names of its methods."""


def reflect(call: Call) -> None:
    """Answers each message of the stream."""
    call.on_message = lambda message: _answer(call, message)
    call.on_end = lambda: call.close(0, "")


def _answer(call: Call, message: bytes) -> None:
    try:
        request = ServerReflectionRequest.FromString(message)
    except DecodeError:
        call.close(Status.INVALID_ARGUMENT, "The message is not a ServerReflectionRequest.")
        return
    response = _response(request)
    response.valid_host = request.host
    response.original_request.CopyFrom(request)
    call.send(response.SerializeToString())


def _response(request: ServerReflectionRequest) -> ServerReflectionResponse:
    match request.WhichOneof("message_request"):
        case "list_services":
            services = [ServiceResponse(name=name) for name in sorted(_METHODS)]
            return ServerReflectionResponse(list_services_response=ListServiceResponse(service=services))
        case "file_by_filename":
            return _file(_FILES.get(request.file_by_filename))
        case "file_containing_symbol":
            return _file(_file_of(request.file_containing_symbol))
        case "file_containing_extension" | "all_extension_numbers_of_type":
            return _error(Status.NOT_FOUND, "There are no extensions.")
        case _:
            return _error(Status.UNIMPLEMENTED, "This kind of request is not known.")


def _file_of(symbol: str) -> FileDescriptor | None:
    """The file of a message, an enumeration, a service or, which the library does not find, a method of one."""
    service, _, method = symbol.rpartition(".")
    if method in _METHODS.get(service, ()):
        symbol = service
    try:
        found = Default().FindFileContainingSymbol(symbol)
    except KeyError:
        return None
    return _FILES.get(found.name)


def _file(file: FileDescriptor | None) -> ServerReflectionResponse:
    """The file and all that it imports."""
    if file is None:
        return _error(Status.NOT_FOUND, "There is no such file or symbol.")
    files = FileDescriptorResponse(file_descriptor_proto=_serialized(dict.fromkeys(_with_imports(file))))
    return ServerReflectionResponse(file_descriptor_response=files)


def _serialized(files: Iterable[FileDescriptor]) -> list[bytes]:
    return [file.serialized_pb for file in files]


def _error(code: int, text: str) -> ServerReflectionResponse:
    return ServerReflectionResponse(error_response=ErrorResponse(error_code=code, error_message=text))
