"""Status codes of gRPC that the gateway uses (https://grpc.io/docs/guides/status-codes/)."""

from enum import IntEnum


class Status(IntEnum):
    """Why a call failed."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16
