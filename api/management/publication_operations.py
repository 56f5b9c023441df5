"""OpenAPI descriptions of the operations on publications, and the answers of everything that publishes."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from api import problems
from api.management.change_operations import CONFLICT, DETAILS
from api.management.operation_parts import (
    BAD_QUERY,
    COMMON,
    DRY_RUN,
    UNKNOWN,
    id_parameter,
    id_schema,
    idempotency_key,
    limit_parameter,
    query,
    request_body,
)
from api.openapi.operations import (
    BAD_INPUT,
    CHALLENGE,
    RETRY_OUTAGE,
    Responses,
    json_answer,
    problem_answers,
)
from api.openapi.schemas import ref
from api.rendering import JSON

PUBLICATION: dict[str, Any] = {
    "version": 18,
    "state": "live",
    "author": "token deploy",
    "reason": "More traffic until Monday.",
    "created_at": "2026-11-20T08:02:00Z",
    "live_at": "2026-11-20T08:02:00Z",
    "differences": ["Policy pro-search, limits: 100 per minute → 200 per minute."],
    "change": 7,
}
_WRITTEN: dict[str, Any] = {"version": 18, "differences": PUBLICATION["differences"]}
_LATER = {"live": False, **_WRITTEN, "detail": "Redis is unavailable; the change will go live automatically."}
_AWAITING = {
    "live": False,
    **_WRITTEN,
    "version": 17,
    "detail": "Another person has to approve the change set in the admin; then publish it. Nothing was changed: what "
    "the request contains besides rules has to be sent again afterwards.",
    "change": {**DETAILS, "state": "awaiting"},
}

LIVE: Responses = {
    (200, JSON): OpenApiResponse(
        {"anyOf": [ref("PublishingResponse"), ref("PublishingDryRunResponse")]},
        "Live; or, with `?dry_run=1`, what would change.",
        [
            OpenApiExample("live", {"live": True, **_WRITTEN}),
            OpenApiExample("dry run", {"dry_run": True, **_WRITTEN, "version": 17}),
        ],
    )
}
LATER = json_answer(
    "PublishingResponse",
    "Awaits approval; or saved, and goes live once Redis is available again.",
    status=202,
    later=_LATER,
    awaits=_AWAITING,
)
UNFIT = problem_answers({problems.PUBLICATION_CONFLICT: CONFLICT}, schema=ref("PublicationConflictProblemResponse"))

_VERSION = id_parameter("version", "The version of the rules.")
_KEY = idempotency_key("is carried out once")
_REASON = request_body("PublicationRequest", reason={"reason": "Too many requests were denied."})

list_operation = extend_schema(
    operation_id="listPublications",
    tags=["config"],
    summary="List the published versions of the rules",
    description="The newest version first. `next` is the URL of the next page; null on the last page.",
    parameters=[
        limit_parameter("Publications"),
        query("after", "Only publications that are older than this version.", id_schema()),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer(
        "PublicationsResponse", "A page of publications.", page={"publications": [PUBLICATION], "next": None}
    )
    | BAD_QUERY
    | COMMON,
)

read_operation = extend_schema(
    operation_id="readPublication",
    tags=["config"],
    summary="Read a published version of the rules",
    description="Who published it, when, why, and what it changed.",
    parameters=[_VERSION, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer("PublicationResponse", "The publication.", publication=PUBLICATION)
    | BAD_QUERY
    | UNKNOWN
    | COMMON,
)

restore_operation = extend_schema(
    operation_id="restorePublication",
    tags=["config"],
    summary="Publish the rules of an earlier version again",
    description="Plans, endpoints, policies and overrides of segments become those of the version. Clients and their "
    "overrides, blocks, tokens, the emergency switch and all counters stay as they are.",
    parameters=[_VERSION, DRY_RUN, _KEY, CHALLENGE, RETRY_OUTAGE],
    request=_REASON,
    responses=LIVE
    | LATER
    | BAD_INPUT
    | UNKNOWN
    | problem_answers(
        {problems.PUBLICATION_CONFLICT: CONFLICT, problems.KEY_REUSED: {}},
        schema=ref("PublicationConflictProblemResponse"),
    )
    | COMMON,
)

revert_operation = extend_schema(
    operation_id="revertPublication",
    tags=["config"],
    summary="Undo what one version changed",
    description="What others published since stays. Where they changed the same fields, nothing is undone, and the "
    "conflicts are listed.",
    parameters=[_VERSION, DRY_RUN, _KEY, CHALLENGE, RETRY_OUTAGE],
    request=_REASON,
    responses=LIVE
    | LATER
    | BAD_INPUT
    | UNKNOWN
    | problem_answers(
        {problems.PUBLICATION_CONFLICT: CONFLICT, problems.NOTHING_TO_REVERT: {}, problems.KEY_REUSED: {}},
        schema=ref("PublicationConflictProblemResponse"),
    )
    | COMMON,
)
