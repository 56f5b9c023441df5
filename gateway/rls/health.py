"""``grpc.health.v1.Health``: whether this process serves."""

from collections.abc import Callable
from functools import partial

from google.protobuf.message import DecodeError

from gateway.http2.calls import Call
from gateway.http2.status import Status
from gateway.proto.health_pb2 import HealthCheckRequest, HealthCheckResponse

SERVICE = "grpc.health.v1.Health"
CHECK = f"/{SERVICE}/Check"
WATCH = f"/{SERVICE}/Watch"

_SERVING = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
_NOT_SERVING = HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString()
_SERVICE_UNKNOWN = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()


class Health:
    """The same status for each of the services, and for the server as a whole (the empty name)."""

    def __init__(self, services: tuple[str, ...], is_ready: Callable[[], bool]) -> None:
        """``is_ready``: whether a ruleset is loaded."""
        self._services = frozenset(("", *services))
        self._is_ready = is_ready
        self._is_draining = False
        self._watchers: dict[Call, bytes] = {}

    def drain(self) -> None:
        """From now on the status is NOT_SERVING."""
        self._is_draining = True
        self.update()

    def update(self) -> None:
        """Tells those who watch, if the status has changed; to be called regularly."""
        status = self._status()
        for call, last in [*self._watchers.items()]:
            if status != last:
                self._watchers[call] = status
                call.send(status)

    def check(self, call: Call, message: bytes) -> None:
        """Replies with the status."""
        service = _service(call, message)
        if service is None:
            return
        if service not in self._services:
            call.fail(Status.NOT_FOUND, "There is no service with this name.")
            return
        call.reply(self._status())

    def watch(self, call: Call, message: bytes) -> None:
        """Sends the status, and each later one. A service that does not exist never begins to."""
        service = _service(call, message)
        if service is None:
            return
        if service not in self._services:
            call.send(_SERVICE_UNKNOWN)
            return
        status = self._watchers[call] = self._status()
        call.on_cancel = partial(self._forget, call)
        call.send(status)

    def _forget(self, call: Call) -> None:
        self._watchers.pop(call, None)

    def _status(self) -> bytes:
        return _SERVING if self._is_ready() and not self._is_draining else _NOT_SERVING


def _service(call: Call, message: bytes) -> str | None:
    """The name of the service; None, and the call has failed, if the message cannot be read."""
    try:
        return HealthCheckRequest.FromString(message).service
    except DecodeError:
        call.fail(Status.INVALID_ARGUMENT, "The message is not a HealthCheckRequest.")
        return None
