"""Usage reports over HTTP, for programs whose token has the scope “reports”: JSON or CSV, streamed."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any
from urllib.parse import parse_qs

import orjson
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone
from rest_framework.exceptions import NotAcceptable
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.management.base import ManagingView
from api.management.report_operations import CSV, usage_report_operation
from api.rendering import JSON, IgnoreAccept
from api.requests import reject_invalid
from limits.models import Progress, Work
from limits.reports.asking import InvalidReport, report_of
from limits.reports.files import LINES, csv_parts
from limits.reports.reading import rows
from limits.reports.subjects import Report, Row
from ratelimit_enforcer.domain.enums import Scope

_FORMATS = {"json": JSON, "csv": CSV}


class JsonOrCsv(IgnoreAccept):
    """Rejects a request that accepts neither JSON nor CSV before anything else is done."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer, _ = super().select_renderer(request, renderers, format_suffix)
        accepted = request._request.get_preferred_type([JSON, CSV])
        if accepted is None and "format" not in request.query_params:
            raise NotAcceptable
        return renderer, accepted or JSON


class UsageReportView(ManagingView):
    """``GET /v1/reports/usage``: what was counted in a period."""

    scope = Scope.REPORTS
    content_negotiation_class = JsonOrCsv

    @usage_report_operation
    def get(self, request: Request) -> HttpResponse:
        """Everything is read from the database before the first byte is sent, so an error is a problem document."""
        given = parse_qs(request.META.get("QUERY_STRING", ""), keep_blank_values=True)
        formats = given.pop("format", [])
        media_type = _media_type(formats, request.accepted_media_type or JSON)
        report = _report(given, formats)
        counted_until = Progress.of(Work.DRAIN)
        found = rows(report)
        if media_type == CSV:
            return _streamed(csv_parts(report, found), CSV)
        return _streamed(_document(report, counted_until, found), JSON)


def _media_type(formats: list[str], accepted: str) -> str:
    return _FORMATS.get(formats[0], JSON) if formats else accepted


def _report(given: dict[str, list[str]], formats: list[str]) -> Report:
    """Returns the report. Raises :class:`~api.problems.ProblemResponse`, which names every invalid parameter."""
    wrong = [("format", "must be json or csv, given once.")] if formats and not _is_one_format(formats) else []
    try:
        report = report_of(given, timezone.now())
    except InvalidReport as error:
        reject_invalid([*wrong, *error.problems])
        raise
    reject_invalid(wrong)
    return report


def _is_one_format(formats: list[str]) -> bool:
    return len(formats) == 1 and formats[0] in _FORMATS


def _streamed(parts: Iterator[Any], media_type: str) -> HttpResponse:
    content_type = f"{media_type}; charset=utf-8" if media_type == CSV else media_type
    response = StreamingHttpResponse(parts, content_type=content_type)
    if media_type == CSV:
        response["Content-Disposition"] = 'attachment; filename="usage.csv"'
    return response  # type: ignore[return-value]


def _document(report: Report, counted_until: datetime | None, found: Generator[Row]) -> Iterator[bytes]:
    """Yields the parts of the document. Rows of adjustments come after all others."""
    head = {
        "from": _text(report.begin, report),
        "to": _text(report.end, report),
        "timezone": report.zone.key,
        "by": list(report.by),
        "counted_until": counted_until.astimezone(UTC) if counted_until else None,
    }
    with closing(found):
        yield orjson.dumps(head)[:-1] + b',"rows":['
        adjustment = yield from _list(report, found, is_adjustment=False)
        yield b'],"adjustments":['
        yield from _list(report, chain(adjustment, found), is_adjustment=True)
        yield b"]}"


def _list(report: Report, found: Iterator[Row], *, is_adjustment: bool) -> Generator[bytes, None, list[Row]]:
    """Yields the rows of one kind, with commas between. Returns the first row of the other kind, if there is one."""
    comma = b""
    while part := list(islice(found, LINES)):
        mine = [row for row in part if row.is_adjustment is is_adjustment]
        if mine:
            yield comma + b",".join(orjson.dumps(_body(report, row)) for row in mine)
            comma = b","
        if len(mine) < len(part):
            return part[len(mine) :]
    return []


def _body(report: Report, row: Row) -> dict[str, Any]:
    return dict(zip(report.columns, (*row.about, *row.figures), strict=True))


def _text(moment: datetime, report: Report) -> str:
    return moment.astimezone(report.zone).isoformat()
