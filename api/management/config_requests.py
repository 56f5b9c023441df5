"""Reads requests for the whole config: its format, the document, and the parameters of a write."""

from dataclasses import dataclass
from typing import Any, NoReturn

from django.http.request import MediaType
from rest_framework.exceptions import NotAcceptable
from rest_framework.request import Request

from api.management.fields import checked_query, reason_problem, reject_lone_surrogates
from api.problems import UNSUPPORTED_MEDIA_TYPE, ProblemResponse
from api.rendering import JSON, JsonOnly, printable
from api.requests import MAX_CONFIG_BYTES, invalid, malformed, parse_json, read_body, reject_invalid
from limits.configfile.document import Document, document_of
from limits.configfile.reading import InvalidConfig, describe, parse, path_of
from limits.configfile.versions import Format

YAML = "application/yaml"
"""RFC 9512."""

YAML_NAMES = (YAML, "application/x-yaml", "text/yaml", "text/x-yaml")
"""YAML, and the names that were used before it was registered."""

MEDIA_TYPES = {Format.JSON: JSON, Format.YAML: YAML}


@dataclass(frozen=True, slots=True)
class ConfigWrite:
    """How a config is written: ``dry_run``: not at all; ``reason``: for the history."""

    dry_run: bool
    reason: str


class JsonOrYaml(JsonOnly):
    """Reading: JSON or YAML. Answers to writes are JSON."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        if request.method in ("GET", "HEAD"):
            accepted_format(request)
            renderer = next(iter(renderers))
            return renderer, renderer.media_type
        return super().select_renderer(request, renderers, format_suffix)


def accepted_format(request: Request) -> Format:
    """The format that the header ``Accept`` prefers (RFC 9110, section 12.5.1); without a preference, JSON. Raises
    ``NotAcceptable``."""
    header = request.META.get("HTTP_ACCEPT", "") or "*/*"
    try:
        ranges = [(MediaType(part), MediaType(part).quality) for part in header.split(",") if part.strip()]
    except ValueError as error:
        raise NotAcceptable from error
    qualities = {Format.JSON: _quality(ranges, (JSON,)), Format.YAML: _quality(ranges, YAML_NAMES)}
    best = max(qualities, key=lambda form: qualities[form])
    if qualities[best] <= 0:
        raise NotAcceptable
    return best


def _quality(ranges: list[tuple[MediaType, float]], names: tuple[str, ...]) -> float:
    """The quality of the most specific range that matches one of the names; 0: none does."""
    matching = [(each.specificity, quality) for each, quality in ranges if any(map(each.match, names))]
    return max(matching, default=(0, 0.0))[1]


def wants_clients(request: Request) -> bool:
    """Whether the section for clients is wanted. Raises :class:`~api.problems.ProblemResponse`."""
    given = checked_query(request.META.get("QUERY_STRING", ""), {"clients": _one_problem})
    return "clients" in given


def read_write(request: Request) -> ConfigWrite:
    """The parameters of a write. Raises :class:`~api.problems.ProblemResponse`."""
    given = checked_query(request.META.get("QUERY_STRING", ""), {"dry_run": _one_problem, "reason": reason_problem})
    return ConfigWrite("dry_run" in given, given.get("reason", ""))


def _one_problem(value: str) -> str | None:
    return None if value == "1" else "must be 1."


def read_config(request: Request) -> Document:
    """The config file in the body, JSON or YAML. Raises :class:`~api.problems.ProblemResponse`, which lists every
    invalid field."""
    media_type = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type not in (JSON, *YAML_NAMES):
        given = f"“{printable(media_type)}”" if media_type else "no media type"
        detail = f"The body was sent as {given}, not as “{JSON}” or “{YAML}”."
        raise ProblemResponse(UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept": f"{JSON}, {YAML}"})
    body = read_body(request, MAX_CONFIG_BYTES)
    data = parse_json(body) if media_type == JSON else _parse_yaml(body)
    reject_lone_surrogates(data)
    try:
        return document_of(data)
    except InvalidConfig as error:
        reject_config(error)


def _parse_yaml(body: bytes) -> Any:
    try:
        data = parse(body.decode())
    except UnicodeDecodeError as error:
        raise malformed(f"is not UTF-8 at byte {error.start}.") from error
    except InvalidConfig as error:
        raise invalid({"body": list(map(describe, error.problems))}) from error
    return {} if data is None else data


def reject_config(error: InvalidConfig) -> NoReturn:
    """Raises :class:`~api.problems.ProblemResponse` with the places of the problems in the document."""
    reject_invalid((path_of(problem.location) or "body", problem.message) for problem in error.problems)
    raise error
