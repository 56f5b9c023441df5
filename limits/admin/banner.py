"""The banner of the emergency switch."""

from django.http import HttpRequest

from limits.models import Platform


def environment(request: HttpRequest) -> list[str] | None:
    """A label at the top of every page while the emergency switch is on."""
    if request.user.is_authenticated and Platform.load().shadow_all:
        return ["Emergency switch is on: nothing is denied", "danger"]
    return None
