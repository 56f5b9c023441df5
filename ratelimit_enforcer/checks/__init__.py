"""System checks: report configuration problems, with a hint, at startup and not at the first request.

=====  =======  ==============================================================================
id     level    reports
=====  =======  ==============================================================================
E001   error    no Redis: ``RATELIMIT_PLATFORM["REDIS"]`` is neither an alias nor a URL
E002   error    a cache that is not one of django-redis, so nothing in it can be atomic
W003   warning  ``IGNORE_EXCEPTIONS`` on that cache
W004   warning  ``NUM_PROXIES`` is not set behind a proxy
E005   error    an unknown key, or an invalid value, in ``RATELIMIT_PLATFORM``
E006   error    ``CLIENT_IDENTIFIER`` cannot be imported or called
E007   error    a throttle scope without a rate
E008   error    a rate that cannot be read
W010   warning  a cache or ConditionalGetMiddleware before the headers middleware
W011   warning  a view that counts each request twice
E012   error    an invalid ``throttle_reserve`` or ``throttle_refund``
=====  =======  ==============================================================================

They run with ``manage.py check`` if ``"ratelimit_enforcer"`` is in ``INSTALLED_APPS``. Problems of the
settings are also logged when the middleware is loaded.
"""

import logging
from typing import Any

from django.core.checks import CheckMessage, register

from ratelimit_enforcer.checks.settings import setting_problems
from ratelimit_enforcer.checks.views import view_problems
from ratelimit_enforcer.per_process import once

log = logging.getLogger(__name__)


@register
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E001 to E006, E008 and W010: problems of the settings."""
    return list(setting_problems())


@register
def check_views(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E007, E008, W011, E012, and E001 to W003 for caches of throttle classes: problems of the default throttle
    classes, and of every view that has a URL."""
    return list(view_problems())


@once
def log_setting_problems() -> None:
    """Logs the problems that :func:`check_settings` finds, once per process."""
    for problem in check_settings():
        log.log(problem.level, "%s", problem)
