"""System checks: what is wrong is said at the start, with what to do, and not by a request.

=====  =======  ==============================================================================
id     level    says
=====  =======  ==============================================================================
E001   error    no Redis: ``RATELIMIT_PLATFORM["REDIS"]`` is neither an alias nor a URL
E002   error    a cache that is not one of django-redis, so nothing in it can be atomic
W003   warning  ``IGNORE_EXCEPTIONS`` on that cache
W004   warning  ``NUM_PROXIES`` is not set behind a proxy
E005   error    an unknown key, or a value that cannot be, in ``RATELIMIT_PLATFORM``
E006   error    ``CLIENT_IDENTIFIER`` cannot be imported or called
E007   error    a throttle scope that no rate names
E008   error    a rate that cannot be read
E009   error    the other ``limits``, a library of PyPI, in the same environment
W010   warning  a cache or ConditionalGetMiddleware before our middleware
W011   warning  a view that counts each request twice
=====  =======  ==============================================================================

They run with ``manage.py check`` where ``"limits"`` is in ``INSTALLED_APPS``, and those of the
settings are logged where the middleware is loaded.
"""

import logging
from typing import Any

from django.core.checks import CheckMessage, register

from limits.checks.installation import installation_problems
from limits.checks.settings import setting_problems
from limits.checks.views import view_problems
from limits.once import once

log = logging.getLogger(__name__)


@register
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """What the settings and the environment show."""
    return [*installation_problems(), *setting_problems()]


@register
def check_views(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """What the throttle classes show, the default ones and those of every view with an address."""
    return list(view_problems())


@once
def log_setting_problems() -> None:
    """Logs what :func:`check_settings` finds, once in this process."""
    for problem in check_settings():
        log.log(problem.level, "%s", problem)
