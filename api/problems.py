"""Problem documents (RFC 9457): one type for each kind of error of the API.

A type is a relative reference with its full path (RFC 9457, section 3.1.1): it is the same under every
host name of the platform, and resolves to a page on that host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.http import HttpResponse

from api.rendering import Rendered, json_rendered
from ratelimit_enforcer.domain.headers import PROBLEM_JSON, QUOTA_EXCEEDED_TITLE, QUOTA_EXCEEDED_TYPE

Errors = Mapping[str, Sequence[str]]
"""Field path → messages about the field."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of error. ``title`` never varies; ``explanation`` is the text of the type's page."""

    uri: str
    status: int
    title: str
    explanation: str


MALFORMED_BODY = ProblemType(
    "/problems/malformed-body",
    400,
    "The body is not JSON.",
    "The body must be one JSON value in UTF-8 (RFC 8259), without NaN or Infinity and with no name twice in one "
    "object. The member “errors” describes the error. Nothing was consumed.",
)
INVALID_REQUEST = ProblemType(
    "/problems/invalid-request",
    400,
    "The request has invalid fields.",
    "The body is JSON, but a field or query parameter is missing, unknown or has an invalid value. The member “errors” "
    "lists each field and the error. Nothing was consumed.",
)
BAD_REQUEST = ProblemType(
    "/problems/bad-request",
    400,
    "The request is malformed.",
    "The request was rejected before it reached the API.",
)
HOST_NOT_ALLOWED = ProblemType(
    "/problems/host-not-allowed",
    400,
    "This host name is not allowed.",
    "The header “Host” is not in the setting ALLOWED_HOSTS. Use a host name from this setting, or ask an operator to "
    "add this one. Only /healthz, /readyz and /v1/forward-auth/ accept any host name.",
)
MISSING_TOKEN = ProblemType(
    "/problems/missing-token",
    401,
    "An API token is required.",
    "Send the header “Authorization: Bearer TOKEN” (RFC 6750); to /v1/forward-auth/, “X-RateLimit-Token: TOKEN”. An "
    "operator issues tokens with “manage.py issue_token”.",
)
INVALID_TOKEN = ProblemType(
    "/problems/invalid-token",
    401,
    "The API token is not valid.",
    "The token is unknown or has been revoked.",
)
HTTPS_REQUIRED = ProblemType(
    "/problems/https-required",
    403,
    "The API requires HTTPS.",
    "The request came over plain HTTP, so others on the network could read the token: replace that token, and send "
    "requests over HTTPS. A proxy that terminates TLS must set the header “X-Forwarded-Proto: https”. To serve the API "
    "over plain HTTP on purpose, set HTTPS=0.",
)
INSUFFICIENT_SCOPE = ProblemType(
    "/problems/insufficient-scope",
    403,
    "The API token lacks the required scope.",
    "The token is valid, but it was issued without the scope that this request requires.",
)
CLIENT_BLOCKED = ProblemType(
    "/problems/client-blocked",
    403,
    "The client is blocked.",
    "An operator has blocked this client: none of the client's requests are admitted, and waiting does not help. The "
    "document also contains every field of a decision.",
)
NOT_FOUND = ProblemType(
    "/problems/not-found",
    404,
    "There is nothing at this address.",
    "The API is documented at /api/docs/.",
)
UNKNOWN_RESERVATION = ProblemType(
    "/problems/unknown-reservation",
    404,
    "There is no such reservation.",
    "The id is not that of a reservation, or the reservation has ended: 24 hours after it was settled or expired; one "
    "of a check, once it no longer counts for concurrency limits.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "/problems/method-not-allowed",
    405,
    "This method is not allowed.",
    "The header “Allow” lists the allowed methods.",
)
NOT_ACCEPTABLE = ProblemType(
    "/problems/not-acceptable",
    406,
    "The request accepts none of the available media types.",
    "The header “Accept”, if present, must allow application/json; to read the config, application/yaml is enough.",
)
HAS_CHILDREN = ProblemType(
    "/problems/has-children",
    409,
    "The client has children.",
    "Other clients have this client as their parent. Remove them first, or change their parent.",
)
STILL_USED = ProblemType(
    "/problems/still-used",
    409,
    "Others refer to the object.",
    "The object cannot be deleted, because the objects in the member “references” refer to it. Change or delete these "
    "first. Nothing was changed.",
)
ALREADY_EXISTS = ProblemType(
    "/problems/already-exists",
    409,
    "There is such an object already.",
    "The object with the “id” in this document applies to the same clients. Change that one instead. Nothing was "
    "changed.",
)
SETTLED_AT_ANOTHER_COST = ProblemType(
    "/problems/settled-at-another-cost",
    409,
    "The cost was settled before, at another amount.",
    "The reservation was settled before, or the Idempotency-Key was used for a charge before, at the “cost” in this "
    "document. Nothing was changed.",
)
KEY_REUSED = ProblemType(
    "/problems/idempotency-key-reused",
    409,
    "The Idempotency-Key was used for another request.",
    "Within 24 hours, this token sent another body with the same Idempotency-Key. Nothing was changed; use a new key "
    "for each request.",
)
CHANGE_NOT_POSSIBLE = ProblemType(
    "/problems/change-not-possible",
    409,
    "The state of the change set does not allow this.",
    "The change set was published, withdrawn or discarded before, contains no edits, or awaits approval. Nothing was "
    "changed.",
)
CHANGE_CONFLICT = ProblemType(
    "/problems/change-conflict",
    409,
    "The change set does not fit the present rules.",
    "Others changed the same fields after the change set was prepared, or the rules would be invalid together. The "
    "members “conflicts” and “errors” list the fields. Nothing was changed: prepare a new change set, or resolve the "
    "conflicts in the admin.",
)
PUBLICATION_CONFLICT = ProblemType(
    "/problems/publication-conflict",
    409,
    "The change does not fit the present rules.",
    "Others changed since what the version changed, the rules would be invalid together, or a request at the same time "
    "changed the same. The members “conflicts” and “errors” list the fields. Nothing was changed.",
)
NOTHING_TO_REVERT = ProblemType(
    "/problems/nothing-to-revert",
    409,
    "The version changed no plan, endpoint, policy or segment override.",
    "There is nothing to revert. A change set that is scheduled or tried is withdrawn: POST /v1/changes/ID/withdraw.",
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
    "The length of the body is required.",
    "Send the body with the header “Content-Length”, not in chunks.",
)
PRECONDITION_FAILED = ProblemType(
    "/problems/precondition-failed",
    412,
    "The present version is another one than expected.",
    "The header “If-Match” does not name the present version, or “If-None-Match: *” was sent and the object exists. "
    "Nothing was changed: read it again, and send the request with the new “ETag”. For the whole config, the member "
    "“publications” lists what was published since.",
)
BODY_TOO_LARGE = ProblemType(
    "/problems/body-too-large",
    413,
    "The body is too large.",
    "A body may have at most 64 KiB, a batch of checks or settlements at most 4 MiB, a config file or a change "
    "set at most 8 MiB. In the admin, users who are not logged in may send at most 64 KiB; others at most 2.5 MiB, or "
    "64 MiB for an import of clients.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "/problems/unsupported-media-type",
    415,
    "The body must be JSON.",
    "Send the body as JSON, with the header “Content-Type: application/json”. A config file may also be YAML: "
    "“application/yaml”.",
)
QUOTA_EXCEEDED = ProblemType(
    QUOTA_EXCEEDED_TYPE,
    429,
    QUOTA_EXCEEDED_TITLE,
    "One or more limits deny the request; the member “violated-policies” lists them.",
)
INTERNAL_ERROR = ProblemType(
    "/problems/internal-error",
    500,
    "Internal server error.",
    "The error is in the platform, not in the request. The server has logged the details.",
)
OVERLOADED = ProblemType(
    "/problems/overloaded",
    503,
    "The server is busy.",
    "A server process is already handling as many requests other than checks as it can. Checks are not affected. Try "
    "again after the number of seconds in “Retry-After”.",
)
STORE_UNAVAILABLE = ProblemType(
    "/problems/store-unavailable",
    503,
    "The store is unavailable.",
    "The server cannot decide without the store, which has the counters. The server reconnects automatically; try "
    "again after the number of seconds in “Retry-After”.",
)
DATABASE_UNAVAILABLE = ProblemType(
    "/problems/database-unavailable",
    503,
    "The database is unavailable.",
    "The server cannot connect to the database of registered clients. Checks are not affected; try again later.",
)
RULESET_MISSING = ProblemType(
    "/problems/ruleset-missing",
    503,
    "No ruleset is loaded.",
    "The server has no ruleset yet: none has been published, or the store has been unavailable since the server "
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
    UNKNOWN_RESERVATION,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    HAS_CHILDREN,
    STILL_USED,
    ALREADY_EXISTS,
    SETTLED_AT_ANOTHER_COST,
    KEY_REUSED,
    CHANGE_NOT_POSSIBLE,
    CHANGE_CONFLICT,
    PUBLICATION_CONFLICT,
    NOTHING_TO_REVERT,
    BODY_TOO_SLOW,
    LENGTH_REQUIRED,
    PRECONDITION_FAILED,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    QUOTA_EXCEEDED,
    INTERNAL_ERROR,
    OVERLOADED,
    STORE_UNAVAILABLE,
    DATABASE_UNAVAILABLE,
    RULESET_MISSING,
)


class ProblemResponse(Exception):
    """An error as the caller sees it; may be raised anywhere in the API, and is answered as a problem document."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        errors: Errors | None = None,
        members: Mapping[str, Any] = MappingProxyType({}),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``members``: extension members of the document (RFC 9457, section 3.2), besides ``errors``."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.members = members if errors is None else {**members, "errors": errors}
        self.headers = headers

    def response(self) -> HttpResponse:
        """The response to the caller, a problem document."""
        return problem_response(self.kind, self.detail, self.members, headers=self.headers)

    def document(self) -> dict[str, Any]:
        """The problem document."""
        return problem_document(self.kind, self.detail, self.members)


def problem_document(kind: ProblemType, detail: str, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A problem document; ``members`` are its extension members (RFC 9457, section 3.2)."""
    return {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": detail, **(members or {})}


def problem_rendered(
    kind: ProblemType,
    detail: str,
    members: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Rendered:
    """A response with a problem document; ``members`` are its extension members."""
    content = problem_document(kind, detail, members)
    return json_rendered(content, status=kind.status, headers=headers, content_type=PROBLEM_JSON)


def problem_response(
    kind: ProblemType,
    detail: str,
    members: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A response for Django with a problem document; ``members`` are its extension members."""
    response = problem_rendered(kind, detail, members, headers=headers).response()
    # Django logs a line for every response of 400 and above without this mark. Denials are routine for
    # this platform: a line for each would turn a flood of requests into a flood of log lines.
    response._has_been_logged = kind is not INTERNAL_ERROR  # type: ignore[attr-defined]
    return response
