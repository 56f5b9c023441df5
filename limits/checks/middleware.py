"""Where the middleware stands that writes the rate limit headers."""

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as Caution

OURS = "limits.middleware.RateLimitHeadersMiddleware"

INSIDE = {
    "django.middleware.cache.UpdateCacheMiddleware": "the site cache stores no response with rate limit headers",
    "django.middleware.cache.FetchFromCacheMiddleware": "the site cache stores no response with rate limit headers",
    "django.middleware.cache.CacheMiddleware": "the site cache stores no response with rate limit headers",
    "django.middleware.http.ConditionalGetMiddleware": "a 304 has no rate limit headers",
    "corsheaders.middleware.CorsMiddleware": "CORS_EXPOSE_HEADERS replaces what EXPOSE_HEADERS adds",
}
"""What has to stand after ours → what happens otherwise."""


def order_problems() -> Iterator[CheckMessage]:
    """W010: what stands before ours in ``MIDDLEWARE`` and must not."""
    names = list(settings.MIDDLEWARE)
    before = names[: names.index(OURS)] if OURS in names else []
    for name in before:
        if name in INSIDE and (not name.startswith("corsheaders") or _is_replaced()):
            yield Caution(
                f"MIDDLEWARE: {name} stands before {OURS}, so {INSIDE[name]}.",
                hint=f"Put {OURS} first.",
                id="limits.W010",
            )


def _is_replaced() -> bool:
    platform = getattr(settings, "RATELIMIT_PLATFORM", {})
    asked = isinstance(platform, dict) and platform.get("EXPOSE_HEADERS") is True
    return asked and bool(getattr(settings, "CORS_EXPOSE_HEADERS", ()))
