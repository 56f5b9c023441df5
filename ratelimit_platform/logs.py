"""Logs: one line for each event that matters, as JSON or for a terminal.

No line holds a token, a password, or a person's address in full, wherever it came from: an error of
another library may quote what it was given. Nor does a line hold all of a long text: callers choose
some of it, such as the Host that Django refuses.
"""

import re
from collections.abc import Mapping
from typing import Any

import structlog

from ratelimit_platform.request_ids import add_request_id

_SECRETS = (
    (re.compile(r"\b(rl_|whsec_)[A-Za-z0-9_+/=-]{4,}"), r"\1…"),
    (re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]+"), r"\1 …"),
    # The user and password of a URL.
    (re.compile(r"://[^/\s@]+@"), "://…@"),
    # Begins where a name begins, and nowhere inside of one, so that a long text is read once.
    (re.compile(r"(?<![\w.+-])([\w.+-])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)"), r"\1…@\2"),
    # Clients that are told apart by their address, which are keyed so.
    (re.compile(r"\bip:([0-9a-fA-F]+[.:][0-9a-fA-F]+)[0-9a-fA-F.:/]*"), r"ip:\1…"),
)

_LONGEST = 4_000
"""Characters of one text of a line: a header may have 64 KiB."""
_LONGEST_TRACEBACK = 16_000


def mask(text: str) -> str:
    """The text with secrets and addresses cut short."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def shorten(text: str, most: int = _LONGEST) -> str:
    """The beginning and the end of a text that is too long, with how much is missing between them."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}… [{len(text) - 2 * half:,} characters] …{text[-half:]}"


def mask_event(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: every text of an event, however deep, is masked and has a bounded length.
    It is masked first: half a secret is one that no pattern recognises."""
    traceback = event.pop("exception", None)
    masked = {name: _masked(value) for name, value in event.items()}
    return masked if traceback is None else masked | {"exception": shorten(mask(traceback), _LONGEST_TRACEBACK)}


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
    """A ``logging.config`` dictionary; structlog's and the standard library's lines look alike.

    The data plane uses the standard library, for projects that have no structlog: a readable text,
    and in ``extra`` the ``event`` and its fields, which stand here in the text's place.
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
        "filters": {"callers_errors": {"()": "ratelimit_platform.log_filters.CallersErrors"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["callers_errors"]}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {"django.server": {"propagate": True}, "celery.app.trace": {"level": "WARNING"}},
    }


def _renderer(log_format: str) -> Any:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer()
