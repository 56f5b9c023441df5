"""OpenAPI descriptions of the operations on change sets: their parameters, and all their possible statuses."""

from typing import Any

from drf_spectacular.utils import extend_schema

from api import problems
from api.management.operation_parts import (
    BAD_QUERY,
    COMMON,
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
from limits.models import ChangeSet

_DRAFT: dict[str, Any] = {
    "name": "Black Friday",
    "reason": "More traffic until Monday.",
    "config": {
        "policies": [
            {"slug": "pro-search", "plan": "pro", "endpoint": "search", "limits": [{"quota": 200, "window": 60}]}
        ]
    },
}
_ROW: dict[str, Any] = {
    "id": 7,
    "name": "Black Friday",
    "reason": "More traffic until Monday.",
    "state": "draft",
    "author": "token deploy",
    "created_at": "2026-11-20T08:00:00Z",
    "base": 17,
    "at": None,
    "until": None,
    "share": None,
    "tag": None,
    "approved_by": None,
    "publication": None,
}
DETAILS = {
    **_ROW,
    "differences": ["Policy pro-search, limits: 100 per minute → 200 per minute."],
    "conflicts": [],
    "simulations": [],
}
_SCHEDULE = {"at": "2026-11-27T00:00:00Z", "until": "2026-12-01T00:00:00Z"}
_SCHEDULED = {**DETAILS, **_SCHEDULE, "state": "scheduled"}
_TRIED = {**DETAILS, "state": "trial", "share": 10}
_PUBLISHED = {**DETAILS, "state": "published", "publication": 18}
_WITHDRAWN = {**DETAILS, "state": "withdrawn"}
_NOT_LIVE = {"live": False, "detail": "Redis is unavailable; the change will go live automatically."}
_AWAITING = {
    "awaits": {
        **DETAILS,
        "state": "awaiting",
        "live": False,
        "detail": "Another person has to approve this change set in the admin. Then send the request again.",
    }
}
_SIMULATED_TIME = {"from": "2026-11-13T00:00:00Z", "to": "2026-11-20T00:00:00Z"}
_WAITING: dict[str, Any] = {
    "id": 3,
    **_SIMULATED_TIME,
    "state": "waiting",
    "progress": 0,
    "outdated": False,
    "started_at": "2026-11-20T08:01:00Z",
    "finished_at": None,
    "totals": None,
    "problems": [],
}
_FIGURES = {
    "requests": 360,
    "clients": 2,
    "before_least": 50,
    "before_most": 70,
    "after_least": 0,
    "after_most": 10,
    "clients_before_least": 1,
    "clients_before_most": 1,
    "clients_after_least": 0,
    "clients_after_most": 1,
}
_DONE = {
    **_WAITING,
    "state": "done",
    "progress": 100,
    "finished_at": "2026-11-20T08:01:04Z",
    "totals": {
        "all": _FIGURES,
        "plans": {"pro": _FIGURES},
        "endpoints": {"search": _FIGURES},
        "policies": {"pro-search": _FIGURES},
    },
}
_SIMULATING = {
    **DETAILS,
    "simulations": [_WAITING],
    "live": False,
    "detail": "A worker simulates the change set. Read it again for the result.",
}
CONFLICT = {"conflicts": [{"path": "policies.pro-search.limits.60s.quota", "before": 100, "after": 200, "found": 150}]}

_ID = id_parameter("change", "The id of the change set.")
_KEY = idempotency_key("creates one change set")
_IMPOSSIBLE = problem_answers(
    {problems.CHANGE_NOT_POSSIBLE: {}, problems.CHANGE_CONFLICT: CONFLICT}, schema=ref("ChangeSetProblemResponse")
)


def _results(description: str, **values: dict[str, Any]) -> Responses:
    """200 if it is live, else 202."""
    live: Any = {name: {**value, "live": True} for name, value in values.items()}
    later: Any = {"later": {**next(iter(values.values())), **_NOT_LIVE}, **({} if "withdrawn" in values else _AWAITING)}
    waits = "Awaits approval; or saved, and goes live once Redis is available again."
    return json_answer("ChangeSetSavedResponse", description, **live) | json_answer(
        "ChangeSetSavedResponse", waits, status=202, **later
    )


list_operation = extend_schema(
    operation_id="listChangeSets",
    tags=["changes"],
    summary="List the change sets",
    description="The newest first. `next` is the URL of the next page; null on the last page.",
    parameters=[
        limit_parameter("Change sets"),
        query("after", "Only change sets that are older than the one with this id.", id_schema()),
        query("state", "Only change sets in this state.", {"type": "string", "enum": list(ChangeSet.State)}),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer("ChangeSetsResponse", "A page of change sets.", page={"changes": [_ROW], "next": None})
    | BAD_QUERY
    | COMMON,
)

create_operation = extend_schema(
    operation_id="createChangeSet",
    tags=["changes"],
    summary="Prepare a change of the rules",
    description="Stores what applying the config file would change now as a draft, which is published later. Nothing "
    "is removed from the rules.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=request_body("ChangeSetRequest", draft=_DRAFT),
    responses=json_answer("ChangeSetSavedResponse", "Created.", status=201, draft={**DETAILS, "live": True})
    | BAD_INPUT
    | problem_answers({problems.KEY_REUSED: {}, problems.CHANGE_NOT_POSSIBLE: {}})
    | COMMON,
)

read_operation = extend_schema(
    operation_id="readChangeSet",
    tags=["changes"],
    summary="Read a change set",
    description="Its state, what it changes, and which fields others have changed since it was prepared.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer(
        "ChangeSetDetailsResponse", "The change set.", draft=DETAILS, simulated=DETAILS | {"simulations": [_DONE]}
    )
    | BAD_QUERY
    | UNKNOWN
    | COMMON,
)

simulate_operation = extend_schema(
    operation_id="simulateChangeSet",
    tags=["changes"],
    summary="Simulate a change set over recorded usage",
    description="A worker counts how many recorded requests would have been denied without and with the change set, as "
    "bounds, because usage is recorded by minute. The results are in `simulations` of the change set.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=request_body("ChangeSetSimulationRequest", week=_SIMULATED_TIME),
    responses=json_answer("ChangeSetSavedResponse", "A worker simulates it.", status=202, simulating=_SIMULATING)
    | BAD_INPUT
    | UNKNOWN
    | problem_answers({problems.CHANGE_NOT_POSSIBLE: {}})
    | COMMON,
)

schedule_operation = extend_schema(
    operation_id="scheduleChangeSet",
    tags=["changes"],
    summary="Publish a change set at a time",
    description="Publishes for all clients at a time of the store's clock, and undoes this change at another. At most "
    "eight such times may be pending.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=request_body("ChangeSetScheduleRequest", weekend=_SCHEDULE),
    responses=_results("Scheduled; every server knows the time.", scheduled=_SCHEDULED)
    | BAD_INPUT
    | UNKNOWN
    | _IMPOSSIBLE
    | COMMON,
)

publish_operation = extend_schema(
    operation_id="publishChangeSet",
    tags=["changes"],
    summary="Publish a change set, or try it on some clients",
    description="Without fields: for all clients. With a share or a tag: for some of them, of one change set at a "
    "time; repeated, it changes the share. A share may not change endpoints, the default plan, or policies that count "
    "several clients together.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=request_body("ChangeSetPublicationRequest", all={}, share={"share": 10}, tag={"tag": "beta"}),
    responses=_results("Published and live.", published=_PUBLISHED, tried=_TRIED)
    | BAD_INPUT
    | UNKNOWN
    | _IMPOSSIBLE
    | COMMON,
)

withdraw_operation = extend_schema(
    operation_id="withdrawChangeSet",
    tags=["changes"],
    summary="Withdraw a change set",
    description="Ends a schedule or a trial, or discards a draft. What was published for all clients stays.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=request_body("ChangeSetWithdrawalRequest", plain={}, reason={"reason": "The sale is over."}),
    responses=_results("Withdrawn and live.", withdrawn=_WITHDRAWN) | BAD_INPUT | UNKNOWN | _IMPOSSIBLE | COMMON,
)
