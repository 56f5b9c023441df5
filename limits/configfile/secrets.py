"""Secrets in a config file, such as the URLs of webhooks: an export has ``secret:ID`` in their place, and sending that
back keeps the secret.

A field of the config file becomes secret with one line in :data:`SECRET_FIELDS`: where it is, and which secrets are
stored. Whatever is at the end of the path is a text or a list of texts; lists on the way stand for each of their
elements, so ``("channels", "url")`` is the field ``url`` of every channel.

After that, exports hide the field, and :func:`~limits.configfile.document.document_of` restores it before anything
else reads it, so the rest of the code never sees a reference. What shows secrets elsewhere calls
:func:`~limits.models.channel_secrets.reference_to`; a model with secret columns names them in ``secret_fields``, which
hides them in the history of a row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from limits.models import AlertRule, NotificationChannel
from limits.models.channel_secrets import is_reference, reference_to
from ratelimit_enforcer.domain.validation import Location, ValidationProblem

_UNKNOWN = "refers to a secret that is not stored here; write the secret itself."


class SecretField(NamedTuple):
    """A secret field: the section and the names of the fields that lead to it, and all stored values."""

    path: tuple[str, ...]
    stored: Callable[[], Iterable[str]]


def _webhooks() -> Iterator[str]:
    return chain.from_iterable(AlertRule.objects.values_list("webhooks", flat=True))


def _channels() -> Iterable[str]:
    return NotificationChannel.objects.values_list("url", flat=True)


SECRET_FIELDS: tuple[SecretField, ...] = (
    SecretField(("alert_rules", "webhooks"), _webhooks),
    SecretField(("channels", "url"), _channels),
)


def hide_secrets(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a config file with references in place of its secrets."""
    hidden = dict(data)
    for path, _ in SECRET_FIELDS:
        hidden = _replaced(hidden, path, (), lambda text, location: reference_to(text))
    return hidden


def has_secrets(section: str) -> bool:
    """Whether a section has secret fields."""
    return any(path[0] == section for path, _ in SECRET_FIELDS)


def restore_secrets(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[ValidationProblem]]:
    """The data of a config file, whose shape is valid, with secrets in place of the references to them; and a problem
    for each reference to a secret that is not stored."""
    restored, unknown = dict(data), list[Location]()
    for path, stored in SECRET_FIELDS:
        restored = _replaced(restored, path, (), partial(_restored, _Known(stored), unknown))
    return restored, [ValidationProblem(location, _UNKNOWN) for location in unknown]


class _Known:
    """The stored secrets of one field, read once, and only if there is a reference."""

    def __init__(self, stored: Callable[[], Iterable[str]]) -> None:
        self._stored = stored
        self._secrets: dict[str, str] | None = None

    def get(self, reference: str) -> str | None:
        if self._secrets is None:
            self._secrets = {reference_to(secret): secret for secret in self._stored()}
        return self._secrets.get(reference)


def _restored(known: _Known, unknown: list[Location], text: str, location: Location) -> str:
    secret = known.get(text) if is_reference(text) else text
    if secret is None:
        unknown.append(location)
        return text
    return secret


def _replaced(value: Any, path: tuple[str, ...], at: Location, replace: Callable[[str, Location], str]) -> Any:
    """The value with the texts at ``path`` replaced. ``at``: where the value is in the file."""
    if isinstance(value, list | tuple):
        return [_replaced(each, path, (*at, position), replace) for position, each in enumerate(value)]
    if not path:
        return replace(value, at) if isinstance(value, str) else value
    name, *rest = path
    if not isinstance(value, Mapping) or name not in value:
        return value
    return {**value, name: _replaced(value[name], tuple(rest), (*at, name), replace)}
