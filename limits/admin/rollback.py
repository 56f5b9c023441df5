"""Rolling back to an earlier version, as a new one."""

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from limits.admin.publishing import place_of, publish_rules
from limits.admin.review import published_by, reviewed
from limits.configfile.reading import ConfigRefused
from limits.configfile.rollback import restore
from limits.domain.problems import RulesetRefused
from limits.domain.ruleset import Ruleset
from limits.models import Publication

_NOTES = (
    "API tokens and the emergency switch stay as they are. So do clients and their overrides.",
    "Counters go on: a policy that comes back counts on where it was.",
)


def roll_back_view(request: HttpRequest, admin_site: AdminSite, publication: Publication) -> HttpResponse:
    """Shows what going back would change, and does it once it is confirmed."""
    back = reverse("admin:limits_publication_change", args=[publication.pk])
    try:
        return reviewed(
            request,
            admin_site,
            lambda: _restore(request, publication),
            back=back,
            can_edit=False,
            intro=f"The rules become again what they were in version {publication.sequence}.",
            notes=_NOTES,
            opts=Publication._meta,
        )
    except (ConfigRefused, RulesetRefused) as refusal:
        for problem in refusal.problems:
            messages.error(request, f"Nothing was changed. {place_of(problem)} {problem.message}")
        return HttpResponseRedirect(back)


def _restore(request: HttpRequest, publication: Publication) -> HttpResponse:
    restore(Ruleset.from_bytes(publication.content.encode()))
    publish_rules(request, f"Rolled back to version {publication.sequence}.")
    if published_by(request) is None:
        messages.info(request, f"The rules are those of version {publication.sequence} already.")
    return HttpResponseRedirect(reverse("admin:limits_publication_changelist"))
