"""A Starlette application with slowapi: prints the statuses of two requests, of which one is admitted."""

from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

limiter = Limiter(key_func=lambda: "ann")


@limiter.limit("1/minute")
def tea(request: Request) -> PlainTextResponse:
    return PlainTextResponse("tea")


app = Starlette(routes=[Route("/", tea)], exception_handlers={RateLimitExceeded: lambda *_: PlainTextResponse("", 429)})
app.state.limiter = limiter
print(*(TestClient(app).get("/").status_code for _ in range(2)))
