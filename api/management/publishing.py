"""Answers to writes that may publish, the same for all of them: live, saved, awaiting approval, or tried."""

from typing import Any

from django.db import IntegrityError
from django.http import HttpResponse

from api.management import change_registry
from api.management.base import handle_database_errors
from api.problems import PUBLICATION_CONFLICT, ProblemResponse
from api.rendering import json_response
from limits.changes.lifecycle import newest_publication
from limits.changes.writing import Written
from limits.configfile.apply import deliver
from limits.configfile.reading import InvalidConfig, path_of
from limits.models import ChangeSet
from ratelimit_enforcer.domain.validation import InvalidRuleset

AWAITS = (
    "Another person has to approve the change set in the admin; then publish it. Nothing was changed: what the request "
    "contains besides rules has to be sent again afterwards."
)
APPROVED = "The change set is approved: publish it. Nothing was changed by this request."
OVERTAKEN = "Another request changed the same at the same time. Send the request again."


def written_response(written: Written, *, dry_run: bool = False) -> HttpResponse:
    """Delivers a described change, and answers: 200 if it is live or was tried only, 202 if it goes live later or
    awaits approval."""
    version = written.publication or newest_publication()
    body: dict[str, Any] = {"version": version.sequence if version else None, "differences": written.differences}
    if dry_run:
        return json_response({"dry_run": True, **body})
    if written.change is not None:
        detail = APPROVED if written.change.state == ChangeSet.State.APPROVED else AWAITS
        change = {"change": change_registry.body(written.change)}
        return json_response({"live": False, **body, "detail": detail, **change}, status=202)
    delivery = deliver()
    if delivery.live:
        return json_response({"live": True, **body})
    return json_response({"live": False, **body, "detail": delivery.problem}, status=202)


def handle_publishing_errors(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """An exception handler for views that publish: 409 for what does not fit the present rules."""
    match error:
        case InvalidConfig() | InvalidRuleset():
            errors: dict[str, list[str]] = {}
            for problem in error.problems:
                errors.setdefault(path_of(problem.location), []).append(problem.message)
            return ProblemResponse(PUBLICATION_CONFLICT, "The rules would be invalid.", errors=errors).response()
        case IntegrityError():
            return ProblemResponse(PUBLICATION_CONFLICT, OVERTAKEN).response()
    return handle_database_errors(error, context)
