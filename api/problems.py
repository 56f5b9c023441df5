"""Problem documents (RFC 9457): one type for every kind of error of the API.

A type is a relative reference with its full path (RFC 9457, section 3.1.1): it stays the same
under every host name that the platform is reached by, and it resolves to a page on that host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

from api.rendering import PROBLEM_JSON, json_response
from limits.domain.quota_problem import QUOTA_EXCEEDED_TITLE, QUOTA_EXCEEDED_TYPE

Errors = Mapping[str, Sequence[str]]
"""Field path → what is wrong with the field."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of error. ``title`` never varies; ``explanation`` is what its page says."""

    uri: str
    status: int
    title: str
    explanation: str


MALFORMED_BODY = ProblemType(
    "/problems/malformed-body",
    400,
    "The body is not JSON.",
    "The body must be one JSON value in UTF-8 (RFC 8259), without NaN or Infinity and with no name twice in one "
    "object. The member “errors” says what was found. Nothing was consumed.",
)
INVALID_REQUEST = ProblemType(
    "/problems/invalid-request",
    400,
    "The request has fields that cannot be accepted.",
    "The body is JSON, but a field or query parameter is missing, unknown, or has a value that is not allowed. The "
    "member “errors” names each of them and says what is wrong. Nothing was consumed.",
)
BAD_REQUEST = ProblemType(
    "/problems/bad-request",
    400,
    "The request cannot be understood.",
    "The request was refused before the API saw it.",
)
HOST_NOT_ALLOWED = ProblemType(
    "/problems/host-not-allowed",
    400,
    "The server is not reached by this name.",
    "The header “Host” names none of the hosts in the setting ALLOWED_HOSTS. Use one of them, or have an operator add "
    "this one. Only /healthz and /readyz take any host.",
)
MISSING_TOKEN = ProblemType(
    "/problems/missing-token",
    401,
    "An API token is needed.",
    "Send the header “Authorization: Bearer TOKEN” (RFC 6750). An operator issues tokens with “manage.py issue_token”.",
)
INVALID_TOKEN = ProblemType(
    "/problems/invalid-token",
    401,
    "The API token is not valid.",
    "The token is unknown here, or it was revoked.",
)
HTTPS_REQUIRED = ProblemType(
    "/problems/https-required",
    403,
    "The API is reached over HTTPS only.",
    "The request came over plain HTTP, and whoever carried it could read its token: replace that token, and send "
    "requests over HTTPS. Where a proxy ends TLS, it has to set the header “X-Forwarded-Proto: https”. A platform that "
    "is meant to be reached over plain HTTP sets HTTPS=0.",
)
INSUFFICIENT_SCOPE = ProblemType(
    "/problems/insufficient-scope",
    403,
    "The API token may not do this.",
    "The token is valid, but it was issued without the scope that this request needs.",
)
CLIENT_BLOCKED = ProblemType(
    "/problems/client-blocked",
    403,
    "The client is blocked.",
    "An operator has blocked this client: no request of it is admitted, and waiting does not help. The document also "
    "carries every field of a check.",
)
NOT_FOUND = ProblemType(
    "/problems/not-found",
    404,
    "There is nothing at this address.",
    "Compare the address with the API's description at /api/docs/.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "/problems/method-not-allowed",
    405,
    "This address does not take this method.",
    "The header “Allow” names the methods that it takes.",
)
NOT_ACCEPTABLE = ProblemType(
    "/problems/not-acceptable",
    406,
    "The request accepts no media type that this address can answer with.",
    "The header “Accept”, where it is sent, must allow application/json.",
)
BODY_TOO_SLOW = ProblemType(
    "/problems/body-too-slow",
    408,
    "The body did not arrive in time.",
    "The server waits ten seconds for a body. Nothing was changed; the request can be sent again.",
)
LENGTH_REQUIRED = ProblemType(
    "/problems/length-required",
    411,
    "The length of the body is needed.",
    "Send the body with the header “Content-Length”, not in chunks.",
)
BODY_TOO_LARGE = ProblemType(
    "/problems/body-too-large",
    413,
    "The body is too large.",
    "A body may have at most 64 KiB, a batch of checks at most 4 MiB, a config file at most 8 MiB. In the admin, more "
    "than 64 KiB are taken only from somebody who is logged in: 2.5 MiB, an import of clients 64 MiB.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "/problems/unsupported-media-type",
    415,
    "The body must be JSON.",
    "Send the body as JSON, with the header “Content-Type: application/json”.",
)
QUOTA_EXCEEDED = ProblemType(
    QUOTA_EXCEEDED_TYPE,
    429,
    QUOTA_EXCEEDED_TITLE,
    "One or more limits deny the request; the member “violated-policies” names them.",
)
INTERNAL_ERROR = ProblemType(
    "/problems/internal-error",
    500,
    "Something went wrong in the server.",
    "This is a mistake in the platform, not in the request. The server has logged it.",
)
OVERLOADED = ProblemType(
    "/problems/overloaded",
    503,
    "The server is busy.",
    "More requests other than checks are under way than one server process takes at the same time; checks are not "
    "affected. Try again after the seconds in “Retry-After”.",
)
STORE_UNAVAILABLE = ProblemType(
    "/problems/store-unavailable",
    503,
    "The store of the counters is not available.",
    "The server cannot reach the store that it counts in, so it cannot decide. It comes back by itself; try again "
    "after the seconds in “Retry-After”.",
)
DATABASE_UNAVAILABLE = ProblemType(
    "/problems/database-unavailable",
    503,
    "The database is not available.",
    "The server cannot reach the database that clients are registered in. Checks go on without it; try again later.",
)
RULESET_MISSING = ProblemType(
    "/problems/ruleset-missing",
    503,
    "No rules are loaded.",
    "The server has no ruleset yet, because none was published or because the store has not answered since the server "
    "started. “manage.py publish_ruleset” publishes one.",
)

PROBLEM_TYPES = (
    MALFORMED_BODY,
    INVALID_REQUEST,
    BAD_REQUEST,
    HOST_NOT_ALLOWED,
    MISSING_TOKEN,
    INVALID_TOKEN,
    HTTPS_REQUIRED,
    INSUFFICIENT_SCOPE,
    CLIENT_BLOCKED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    BODY_TOO_SLOW,
    LENGTH_REQUIRED,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    QUOTA_EXCEEDED,
    INTERNAL_ERROR,
    OVERLOADED,
    STORE_UNAVAILABLE,
    DATABASE_UNAVAILABLE,
    RULESET_MISSING,
)


class Problem(Exception):
    """An error as the caller will see it; raised anywhere in the API, answered as a document."""

    def __init__(
        self, kind: ProblemType, detail: str, *, errors: Errors | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def response(self) -> HttpResponse:
        """The answer to the caller."""
        members = {} if self.errors is None else {"errors": self.errors}
        return problem_response(self.kind, self.detail, members, headers=self.headers)


def problem_response(
    kind: ProblemType,
    detail: str,
    members: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A problem document; ``members`` are its extension members (RFC 9457, section 3.2)."""
    content = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": detail, **(members or {})}
    response = json_response(content, status=kind.status, headers=headers, content_type=PROBLEM_JSON)
    # Django logs a line for every answer of 400 and above that does not carry this mark. A denial
    # is the platform's daily work: a line for each would turn a flood of requests into a flood of logs.
    response._has_been_logged = kind is not INTERNAL_ERROR  # type: ignore[attr-defined]
    return response
