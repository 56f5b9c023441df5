"""The entity tags of the config (RFC 9110, section 8.8.3), and preconditions on them (section 13.1).

A tag names the version of the content, the format, and whether the clients are included. So a precondition reads the
clients only if the caller has read them, too.
"""

import re
from collections.abc import Callable
from typing import Any

from django.utils.http import parse_etags
from rest_framework.request import Request

from api.management.publication_registry import summary
from api.problems import PRECONDITION_FAILED, ProblemResponse
from api.requests import invalid
from limits.changes.lifecycle import newest_publication
from limits.configfile.versions import ConfigVersion, Format, publications_since, read_version

MAX_SHOWN = 20
"""Maximum number of publications that an answer to a failed precondition lists, the newest first."""

_TAG = re.compile(r'"([0-9a-f]{16})([0-9a-f]{32})-(?:json|yaml)(-clients)?"')
_NOT_RULES = "The rules are the same; what differs is not published: overrides, grants, clients, alert rules or names."
_UNKNOWN = "What changed since is not known."


def etag_of(version: ConfigVersion, form: Format) -> str:
    """The strong entity tag of the config in a format."""
    return f'"{version.rules}{version.content}-{form}{"-clients" if version.clients else ""}"'


def is_fresh(request: Request, etag: str) -> bool:
    """Whether the caller has this version already: ``If-None-Match``, compared weakly."""
    tags = [tag.removeprefix("W/") for tag in parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))]
    return etag in tags or "*" in tags


def precondition_of(request: Request) -> Callable[[], None] | None:
    """A function that checks ``If-Match`` against the config in the database, and raises
    :class:`~api.problems.ProblemResponse` (412) with what changed since; None: the request has no precondition. Raises
    :class:`~api.problems.ProblemResponse` for a header that is no list of entity tags."""
    header = request.META.get("HTTP_IF_MATCH")
    if header is None:
        return None
    tags = parse_etags(header)
    if not tags:
        raise invalid({"If-Match": ["must be * or a list of entity tags in quotes."]})
    known = [_version(found) for tag in tags if (found := _TAG.fullmatch(tag))]
    return (lambda: None) if "*" in tags else (lambda: _require_one_of(known))


def _version(tag: re.Match[str]) -> ConfigVersion:
    return ConfigVersion(tag[1], tag[2], tag[3] is not None)


def _require_one_of(versions: list[ConfigVersion]) -> None:
    present = {clients: read_version(clients=clients) for clients in {version.clients for version in versions}}
    if not any(version == present[version.clients] for version in versions):
        raise _failed(versions[0] if versions else None, next(iter(present.values()), None))


def _failed(expected: ConfigVersion | None, present: ConfigVersion | None) -> ProblemResponse:
    since, publications = publications_since(expected) if expected else (None, [])
    newest = newest_publication()
    members: dict[str, Any] = {
        "version": newest.sequence if newest else None,
        "since": since,
        "publications": list(map(summary, publications[:MAX_SHOWN])),
    }
    detail = f"The config has changed since version {since}." if since is not None else _UNKNOWN
    if expected and present and expected.rules == present.rules:
        detail = _NOT_RULES
    return ProblemResponse(PRECONDITION_FAILED, detail, members=members)
