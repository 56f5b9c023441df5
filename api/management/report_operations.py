"""The OpenAPI description of usage reports: parameters, schemas, and all possible statuses."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from api import problems
from api.management.operation_parts import COMMON, query
from api.openapi.operations import (
    CHALLENGE,
    REJECTED_EARLY,
    RETRY_OUTAGE,
    Responses,
    json_answer,
    problem_answers,
)
from api.openapi.schemas import TEXT, Schema, nullable, object_schema, ref
from limits.reports.subjects import POLICY_FIGURES, TIMES, USAGE_FIGURES, By
from ratelimit_enforcer.domain.validation import capitalized

CSV = "text/csv"

_MEANINGS = {
    By.HOUR: "The beginning of the hour, in the time zone: `2026-10-25T02:00:00+02:00`.",
    By.DAY: "`2026-10-25`, in the time zone.",
    By.MONTH: "`2026-10`, in the time zone.",
    By.CLIENT: "The key; null: clients that were not registered.",
    By.TREE: "The key of the client at the top of the tree; for a client without a parent, its own key; null: clients "
    "that were not registered.",
    By.PLAN: "The slug of the plan; null: none.",
    By.TAG: "A tag; null: clients without tags. A client with two tags is counted in both rows.",
    By.ENDPOINT: "The slug; null: unregistered endpoints.",
    By.POLICY: "The slug.",
}
_FIGURES = {figure.name: figure.meaning for figure in (*POLICY_FIGURES, *USAGE_FIGURES)}
_ROW: Schema = {
    "type": "object",
    "description": "What the row is about, as `by` says, and its figures. A report by policy, or of one policy, has "
    f"the figures {', '.join(f'`{figure.name}`' for figure in POLICY_FIGURES)}.",
    "properties": {by.value: nullable(TEXT) | {"description": meaning} for by, meaning in _MEANINGS.items()}
    | {name: {"type": "integer", "description": f"{capitalized(meaning)}."} for name, meaning in _FIGURES.items()},
    "additionalProperties": False,
}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
REPORT_SCHEMAS: dict[str, Schema] = {
    "UsageReportRowResponse": _ROW,
    "UsageReportResponse": object_schema(
        {
            "from": _MOMENT,
            "to": _MOMENT | {"description": "Excluded."},
            "timezone": TEXT,
            "by": {"type": "array", "items": {"type": "string", "enum": list(By)}},
            "counted_until": nullable(_MOMENT) | {"description": "All requests before this moment are counted."},
            "rows": {"type": "array", "items": ref("UsageReportRowResponse")},
            "adjustments": {
                "type": "array",
                "items": ref("UsageReportRowResponse"),
                "description": "Counts that arrived after the close of their month, which `rows` do not contain. A "
                "month closes 24 hours after its end.",
            },
        }
    ),
}

_NUMBERS = dict.fromkeys((figure.name for figure in USAGE_FIGURES), 0)
_EXAMPLE: dict[str, Any] = {
    "from": "2026-10-01T00:00:00+02:00",
    "to": "2026-11-01T00:00:00+01:00",
    "timezone": "Europe/Berlin",
    "by": ["month", "client"],
    "counted_until": "2026-11-20T08:00:00+00:00",
    "rows": [
        {"month": "2026-10", "client": "acme", **_NUMBERS, "requests": 1_250, "admitted": 1_200, "denied": 50}
        | {"cost": 1_200},
        {"month": "2026-10", "client": None, **_NUMBERS, "requests": 7, "admitted": 7, "cost": 7},
    ],
    "adjustments": [],
}
_POLICIES = {
    **_EXAMPLE,
    "by": ["policy"],
    "rows": [{"policy": "pro-search", "denied": 50, "would_deny": 0, "granted": 0, "over_quota": 0}],
}


def _csv() -> str:
    columns = ["month", "client", *_NUMBERS]
    lines = [",".join(str(row[column] or "0") for column in columns) + "," for row in _EXAMPLE["rows"][:1]]
    return "\r\n".join([",".join([*columns, "adjustment"]), *lines, ""])


_CSV: Responses = {
    (200, CSV): OpenApiResponse(
        {"type": "string"},
        "One line for each row; `adjustment` is `yes` for adjustments.",
        [OpenApiExample("CSV", _csv())],
    )
}

usage_report_operation = extend_schema(
    operation_id="usageReport",
    tags=["reports"],
    summary="Report usage by client, plan, tag, endpoint, policy or time",
    description=(
        "The exact counts of a period, with the plan, the tags and the tree that each client had at the time: those at "
        "the beginning of the hour, or when the client was registered. Streamed, and complete: there are no pages. "
        "CSV with `Accept: text/csv` or `format=csv`."
    ),
    parameters=[
        query("from", "The beginning: a month (`2026-10`), a day, or a time at a whole hour. Default: this month."),
        query("to", "The end, excluded, in the same form. Default: the end of the present hour."),
        query("timezone", "The time zone of months, days, `from` and `to`. Default: UTC."),
        query(
            "by",
            "What a row is about, separated by commas. Omitted: one row with the sums. At most one of "
            f"{', '.join(TIMES)}.",
            {"type": "string", "example": "client,month"},
        ),
        query("client", "Only this client (the key)."),
        query("tree", "Only this client without a parent, and all clients below it."),
        query("plan", "Only clients that were on this plan."),
        query("tag", "Only clients that had this tag."),
        query("endpoint", "Only this endpoint."),
        query("policy", "Only denials by this policy."),
        query("format", "In place of `Accept`.", {"type": "string", "enum": ["json", "csv"]}),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer("UsageReportResponse", "The report.", by_client=_EXAMPLE, by_policy=_POLICIES)
    | _CSV
    | problem_answers(
        {
            problems.INVALID_REQUEST: {
                "errors": {"timezone": ["must be the name of a time zone, such as Europe/Berlin."]}
            }
        }
        | REJECTED_EARLY
    )
    | problem_answers({problems.NOT_ACCEPTABLE: {}})
    | COMMON,
)
