"""The content security policy: ``settings.CONTENT_SECURITY_POLICY``, sent by django-csp.

Everything is loaded from this host, and no page may be framed. Exceptions:

- ``'unsafe-eval'`` for scripts: django-unfold uses Alpine, which evaluates the expressions in its
  attributes. Inline scripts remain forbidden.
- ``style`` attributes: Alpine and django-unfold set them.
- the ``<style>`` elements with these digests: django-unfold's colours, and the page of the API. A browser
  test fails when an upgrade changes one.
"""

from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

_STYLES = (
    "'sha256-xG/PwWCbE+3pgUlKBq7ttndqS8suUMooQJGSUGVJuIs='",  # django-unfold: colours
    "'sha256-MMpT0iDxyjALd9PdfepImGX3DBfJPXZ4IlDWdPAgtn0='",  # drf-spectacular: the page of the API
)

CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src-elem": [SELF, *_STYLES],
        "style-src-attr": [UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
