"""Logs: one line for each relevant event, as JSON or for a terminal.

No line contains a token, a password, or a person's full address, whatever its origin: an error of
another library may quote its input. Long texts are shortened as well: callers choose some of them,
such as a Host that Django rejects. Lines that callers can cause at will are limited.

Each request has an id, by which its log lines can be found, together with those of other services. The id is
the caller's ``X-Request-ID`` if that is a plain word. Otherwise it is generated when first needed: an admitted
check writes no log line and needs none.
"""

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse

from ratelimit_enforcer.log_limiter import LogInterval

REQUEST_ID_HEADER = "X-Request-ID"
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ID_ATTRIBUTE = "_request_id"

_current_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


class RequestIdMiddleware:
    """Records which request this thread answers. Server errors return the id to the caller."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = _current_request.set(request)
        try:
            response: HttpResponse = self._get_response(request)
            if response.status_code >= 500:
                response[REQUEST_ID_HEADER] = _id_of(request)
            return response
        finally:
            _current_request.reset(before)


def add_request_id(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: adds ``request_id`` to every line that is written while a request is answered."""
    request = _current_request.get()
    if request is not None:
        event["request_id"] = _id_of(request)
    return event


def _id_of(request: HttpRequest) -> str:
    name: str | None = getattr(request, _ID_ATTRIBUTE, None)
    if name is None:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        name = given if _VALID_ID.fullmatch(given) else secrets.token_hex(8)
        setattr(request, _ID_ATTRIBUTE, name)
    return name


_SECURITY_LOGGERS = "django.security."


class ClientErrorFilter(logging.Filter):
    """Django logs a stack trace for requests that it rejects (too many fields, a body that cannot be parsed, …).
    These are errors of the caller, so they are logged here as one line without a trace, and each
    ``django.security`` logger writes at most one line a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._interval = LogInterval()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; removes the stack trace from callers' errors."""
        if record.name.startswith("django.") and 400 <= getattr(record, "status_code", 0) < 500:
            record.exc_info = record.exc_text = None
        return not record.name.startswith(_SECURITY_LOGGERS) or self._interval.is_over(record.name)


_SECRETS = (
    (re.compile(r"\b(rl_|whsec_)[A-Za-z0-9_+/=-]{4,}"), r"\1…"),
    (re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]+"), r"\1 …"),
    # The user and password of a URL.
    (re.compile(r"://[^/\s@]+@"), "://…@"),
    # Matches at the start of a name only, and nowhere inside one, so that a long text is scanned once.
    (re.compile(r"(?<![\w.+-])([\w.+-])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)"), r"\1…@\2"),
    # Clients that are identified by address have such keys.
    (re.compile(r"\bip:([0-9a-fA-F]+[.:][0-9a-fA-F]+)[0-9a-fA-F.:/]*"), r"ip:\1…"),
)

_MAX_TEXT_LENGTH = 4_000
"""Maximum length of one text in a line, in characters: a header may have 64 KiB."""
_MAX_TRACEBACK_LENGTH = 16_000


def mask(text: str) -> str:
    """Returns the text with tokens, passwords, email and client addresses truncated."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def shorten(text: str, most: int = _MAX_TEXT_LENGTH) -> str:
    """The beginning and the end of a long text, with the number of omitted characters between them."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}… [{len(text) - 2 * half:,} characters] …{text[-half:]}"


def mask_event(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: masks and shortens every text of an event, at any depth. Masking comes first,
    because no pattern recognizes half a secret."""
    traceback = event.pop("exception", None)
    masked = {name: _masked(value) for name, value in event.items()}
    return masked if traceback is None else masked | {"exception": shorten(mask(traceback), _MAX_TRACEBACK_LENGTH)}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return shorten(mask(value))
    if isinstance(value, Mapping):
        return {name: _masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in value]
    return value if isinstance(value, int | float | bool | None) else shorten(mask(str(value)))


_SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    add_request_id,
]


def logging_config(log_format: str) -> dict[str, Any]:
    """A ``logging.config`` dictionary that gives lines of structlog and of the standard library the same format.

    The data plane uses the standard library, for projects without structlog: a readable message, and in
    ``extra`` the ``event`` and its fields, which replace the message here.
    """
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*_SHARED, structlog.stdlib.ExtraAdder()],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    mask_event,
                    _renderer(log_format),
                ],
            }
        },
        "filters": {"callers_errors": {"()": "ratelimit_platform.logs.ClientErrorFilter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["callers_errors"]}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {"django.server": {"propagate": True}, "celery.app.trace": {"level": "WARNING"}},
    }


def _renderer(log_format: str) -> Any:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer()
