"""OpenAPI descriptions of the operations on single objects of the config file."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiRequest,
    OpenApiResponse,
    extend_schema,
)

from api import problems
from api.management import object_examples as examples
from api.management.object_schemas import plural_name, type_name
from api.management.operation_parts import BAD_QUERY, COMMON, DRY_RUN, UNKNOWN, idempotency_key, limit_parameter, query
from api.openapi.operations import (
    BAD_INPUT,
    CHALLENGE,
    RETRY_OUTAGE,
    Responses,
    json_answer,
    problem_answers,
)
from api.openapi.schemas import Schema, ref
from api.rendering import JSON
from limits.configfile.objects import Kind

Decorator = Callable[[Any], Any]

_FAILED = problem_answers({problems.PRECONDITION_FAILED: {}})
_STILL_USED = problem_answers(
    {problems.STILL_USED: {"references": ["policy “pro-search”"]}}, schema=ref("StillUsedProblemResponse")
)
_KEY_PARAMETER = idempotency_key("creates one object")
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` that the object must have, or `*`; otherwise 412, and nothing is changed.",
)
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="`*`: only create; 412 if the object exists."
)
_ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    description="The version of the object, for `If-Match`.",
    response=[200, 201],
)


def _tag(kind: Kind) -> list[str]:
    return [kind.section.replace("_", " ")]


def _path_parameter(kind: Kind) -> OpenApiParameter:
    what = {"id": "id", "name": "name, percent-encoded,"}.get(kind.identity, kind.identity)
    schema: Schema = {"type": "string", "minLength": 1}
    return OpenApiParameter("key", schema, OpenApiParameter.PATH, description=f"The {what} of the {kind.name}.")


def _request_body(kind: Kind) -> dict[str, OpenApiRequest]:
    shown = [OpenApiExample(name, body) for name, body in examples.REQUESTS[kind.section].items()]
    return {JSON: OpenApiRequest(ref(f"{type_name(kind)}Request"), examples=shown)}


def _written(kind: Kind, *, schema: str, live: dict[str, Any], created: bool, replaced: bool = True) -> Responses:
    """200 or 201 if it is live, else 202; a dry run is answered with 200."""
    shown = [OpenApiExample("dry run", examples.DRY_RUN)]
    if replaced:
        shown.insert(0, OpenApiExample("live", live))
    choice: Schema = {"anyOf": [*([ref(schema)] if replaced else []), ref("DryRunResponse")]}
    done = "Done and live; or a dry run." if replaced else "A dry run."
    found: Responses = {(200, JSON): OpenApiResponse(choice, done, shown)}
    if created:
        found |= json_answer(schema, "Created and live.", status=201, live=live)
    later = [
        OpenApiExample("later", live | examples.NOT_LIVE),
        OpenApiExample("awaits approval", examples.AWAITING),
    ]
    waits = "Awaits approval; or saved, and goes live once Redis is available again."
    found[202, JSON] = OpenApiResponse({"anyOf": [ref(schema), ref("AwaitingResponse")]}, waits, later)
    return found


def list_operation(kind: Kind) -> Decorator:
    """``GET`` of the list."""
    name, plural = kind.name, plural_name(kind)
    ordered = "ids" if kind.identity == "id" else f"{kind.identity}s"
    shown = {kind.section: [examples.RESPONSES[kind.section]], "next": None}
    return extend_schema(
        operation_id=f"list{plural}",
        tags=_tag(kind),
        summary=f"List the {kind.section.replace('_', ' ')}",
        description=f"A page of the {kind.section.replace('_', ' ')}, in the order of their {ordered}.",
        parameters=[
            limit_parameter("Objects"),
            query("after", f"Only what follows this {kind.identity}."),
            *(query(field, examples.filter_text(name, field)) for field in kind.filters),
            CHALLENGE,
            RETRY_OUTAGE,
        ],
        responses=json_answer(f"{plural}Response", "A page.", page=shown) | BAD_QUERY | COMMON,
    )


def read_operation(kind: Kind) -> Decorator:
    """``GET`` of one object."""
    unchanged: Any = {304: OpenApiResponse(description="The object has the `ETag` of the header `If-None-Match`.")}
    return extend_schema(
        operation_id=f"read{type_name(kind)}",
        tags=_tag(kind),
        summary=f"Read one {kind.name}",
        description=f"The fields of this {kind.name}, as in the config file; those with default values may be missing.",
        parameters=[_path_parameter(kind), _IF_NONE_MATCH, _ETAG, CHALLENGE, RETRY_OUTAGE],
        responses=json_answer(f"{type_name(kind)}Response", f"The {kind.name}.", found=examples.RESPONSES[kind.section])
        | unchanged
        | BAD_QUERY
        | UNKNOWN
        | COMMON,
    )


def put_operation(kind: Kind) -> Decorator:
    """``PUT`` of one object."""
    has_id = kind.identity == "id"
    what = f"Replaces the {kind.name} with this id" if has_id else f"Creates the {kind.name}, or replaces it"
    conflicts = (
        problem_answers({problems.ALREADY_EXISTS: {"id": "client-12"}}, schema=ref("AlreadyExistsProblemResponse"))
        if has_id
        else {}
    )
    live = examples.RESPONSES[kind.section] | {"live": True}
    return extend_schema(
        operation_id=f"put{type_name(kind)}",
        tags=_tag(kind),
        summary=f"{'Replace' if has_id else 'Create or replace'} one {kind.name}",
        description=f"{what}; omitted fields get their default values. Responds when the change is live on every "
        "server.",
        parameters=[_path_parameter(kind), DRY_RUN, _IF_MATCH, _IF_NONE_MATCH, _ETAG, CHALLENGE, RETRY_OUTAGE],
        request=_request_body(kind),
        responses=_written(kind, schema=f"{type_name(kind)}SavedResponse", live=live, created=not has_id)
        | BAD_INPUT
        | UNKNOWN
        | conflicts
        | _FAILED
        | COMMON,
    )


def create_operation(kind: Kind) -> Decorator:
    """``POST`` to the list."""
    conflicts: dict[Any, dict[str, Any]] = {problems.ALREADY_EXISTS: {"id": "client-12"}, problems.KEY_REUSED: {}}
    live = examples.RESPONSES[kind.section] | {"live": True}
    return extend_schema(
        operation_id=f"create{type_name(kind)}",
        tags=_tag(kind),
        summary=f"Create one {kind.name}",
        description=f"Creates the {kind.name}, which gets an id. Responds when it is live on every server.",
        parameters=[DRY_RUN, _KEY_PARAMETER, _ETAG, CHALLENGE, RETRY_OUTAGE],
        request=_request_body(kind),
        responses=_written(kind, schema=f"{type_name(kind)}SavedResponse", live=live, created=True, replaced=False)
        | BAD_INPUT
        | UNKNOWN
        | problem_answers(conflicts, schema=ref("AlreadyExistsProblemResponse"))
        | COMMON,
    )


def delete_operation(kind: Kind) -> Decorator:
    """``DELETE`` of one object."""
    found = examples.RESPONSES[kind.section]
    return extend_schema(
        operation_id=f"delete{type_name(kind)}",
        tags=_tag(kind),
        summary=f"Delete one {kind.name}",
        description=f"Deletes the {kind.name}, unless others refer to it. Responds when the change is live on every "
        "server.",
        parameters=[_path_parameter(kind), DRY_RUN, _IF_MATCH, CHALLENGE, RETRY_OUTAGE],
        responses=_written(
            kind,
            schema=f"{type_name(kind)}DeletedResponse",
            live={kind.identity: found[kind.identity], "live": True},
            created=False,
        )
        | BAD_QUERY
        | UNKNOWN
        | _STILL_USED
        | _FAILED
        | COMMON,
    )
