"""Parts that the descriptions of operations on rows share: parameters, bodies, and responses that all of them have."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest

from api import problems
from api.idempotency import HEADER, MAX_LENGTH
from api.management.fields import MAX_ID, MAX_PAGE_SIZE, PAGE_SIZE
from api.openapi.operations import ALWAYS, FORBIDDEN, NO_TOKEN, REJECTED_EARLY, Responses, problem_answers
from api.openapi.schemas import Schema, ref
from api.rendering import JSON

COMMON: Responses = (
    NO_TOKEN
    | FORBIDDEN
    | problem_answers(
        {
            problems.STORE_UNAVAILABLE: {},
            problems.RULESET_MISSING: {},
            problems.DATABASE_UNAVAILABLE: {},
            problems.OVERLOADED: {},
        }
    )
    | ALWAYS
)
"""What every operation on rows may answer."""

BAD_QUERY: Responses = problem_answers({problems.INVALID_REQUEST: {}} | REJECTED_EARLY) | problem_answers(
    {problems.NOT_ACCEPTABLE: {}}
)
"""What a request without a body may answer."""

UNKNOWN: Responses = problem_answers({problems.NOT_FOUND: {}})


def request_body(schema: str, **examples: dict[str, Any]) -> dict[str, OpenApiRequest]:
    """A body in JSON; ``examples``: name → body."""
    return {JSON: OpenApiRequest(ref(schema), examples=[OpenApiExample(name, body) for name, body in examples.items()])}


def query(name: str, description: str, schema: Schema | None = None) -> OpenApiParameter:
    """A parameter of the URL's query; a string unless ``schema`` says otherwise."""
    return OpenApiParameter(name, schema or {"type": "string"}, description=description)


def limit_parameter(rows: str) -> OpenApiParameter:
    """How many rows a page has; ``rows`` names them, such as “Clients”."""
    return query(
        "limit",
        f"{rows} per page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
    )


def id_schema(most: int = MAX_ID) -> Schema:
    """The id of a row, or the number of a version."""
    return {"type": "integer", "minimum": 1, "maximum": most}


def id_parameter(name: str, description: str, most: int = MAX_ID) -> OpenApiParameter:
    """The id of a row, or the number of a version, in the URL's path."""
    return OpenApiParameter(name, id_schema(most), OpenApiParameter.PATH, description=description)


DRY_RUN = query("dry_run", "1: nothing is changed, and `differences` are returned.", {"type": "integer", "enum": [1]})


def idempotency_key(effect: str) -> OpenApiParameter:
    """The header that makes a request safe to send again. ``effect``: such as “creates one grant”."""
    return OpenApiParameter(
        HEADER,
        {"type": "string", "maxLength": MAX_LENGTH, "pattern": "^[!-~]( *[!-~])*$"},
        OpenApiParameter.HEADER,
        description=f"A request with the same token and key {effect} within 24 hours, on any server. Visible ASCII "
        "characters, or a string in quotes as in draft-ietf-httpapi-idempotency-key-header.",
    )
