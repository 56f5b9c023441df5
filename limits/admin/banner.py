"""The banner of the emergency switch."""

from django.http import HttpRequest

from limits.domain.ruleset import Ruleset
from limits.models import Platform, Publication
from limits.store.connection import hot_connections


def environment(request: HttpRequest) -> list[str] | None:
    """A label at the top of every page while the emergency switch is on, or may still be."""
    if not request.user.is_authenticated:
        return None
    is_on = Platform.load().shadow_all
    if not _is_live():
        return _not_live(is_on=is_on)
    if not is_on:
        return None
    if hot_connections().outages.is_open:
        return ["Emergency switch is on. Redis is unavailable: servers may hold older rules", "danger"]
    return ["Emergency switch is on: nothing is denied", "danger"]


def _is_live() -> bool:
    """Whether the newest version is."""
    state = Publication.objects.order_by("-sequence").values_list("state", flat=True).first()
    return state in (None, Publication.State.LIVE)


def _not_live(*, is_on: bool) -> list[str] | None:
    """While a version waits, the switch may be on for people and off for servers, or the reverse."""
    if is_on:
        return ["Emergency switch is on, but not known to be live on every server yet", "danger"]
    live = Publication.objects.filter(state=Publication.State.LIVE).order_by("-sequence").first()
    if live is not None and Ruleset.from_bytes(live.content.encode()).shadow_all:
        return ["Emergency switch is off, but not known to be live on every server yet", "danger"]
    return None
