"""The admin's first page says what is wrong with how the store is set up."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from limits.store.advice import advisor
from limits.store.errors import StoreUnavailable


def store_warnings() -> list[str]:
    """A sentence for each thing to change in the store; none where it cannot be asked."""
    try:
        return advisor().look()
    except StoreUnavailable:
        return []


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Shows them to everybody who may see the first page."""
    for sentence in store_warnings():
        messages.warning(request, sentence)
    return context
