"""The gateway's gRPC service behind grpcio's asynchronous server, for comparison with its own transport."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import django

from ratelimit_platform.startup import prepared

PROCESSES = 2


class GrpcioCall:
    """One call, as the service takes it."""

    peer = "127.0.0.1"

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata
        self.deadline_seconds: float | None = None
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def reply(self, message: bytes) -> None:
        # Cancelled, if the caller has gone.
        if not self.answer.done():
            self.answer.set_result(message)

    def fail(self, status: int, text: str) -> None:
        self.answer.set_exception(RuntimeError(f"{status}: {text}"))


async def serve(port: int) -> None:
    """Serves without end."""
    import grpc  # type: ignore[import-untyped]

    from gateway.engine_threads import EngineThreads
    from gateway.rls.handlers import methods
    from gateway.rls.service import SHOULD_RATE_LIMIT
    from ratelimit_enforcer.engine import get_engine

    handler = methods(EngineThreads(get_engine(), asyncio.get_running_loop())).unary[SHOULD_RATE_LIMIT]

    async def answer(message: bytes, context: Any) -> bytes:
        call = GrpcioCall(dict(context.invocation_metadata()))
        handler(call, message)
        return await call.answer

    service, method = SHOULD_RATE_LIMIT.strip("/").split("/")
    server = grpc.aio.server(options=(("grpc.so_reuseport", 1),))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(answer)}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    """Serves on ``GATEWAY_GRPC_PORT``, in two processes."""
    # Before anything of grpcio or Django exists, which do not survive a fork.
    for _ in range(PROCESSES - 1):
        if os.fork() == 0:
            break
    prepared(django.setup, "grpcio")
    asyncio.run(serve(int(os.environ["GATEWAY_GRPC_PORT"])))


if __name__ == "__main__":
    main()
