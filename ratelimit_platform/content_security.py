"""What pages may load and run: ``settings.CONTENT_SECURITY_POLICY``, sent by django-csp.

Everything comes from this host, and no page may be framed. What is allowed beyond that:

- ``'unsafe-eval'`` for scripts: django-unfold uses Alpine, which evaluates the expressions in its
  attributes. Inline scripts stay forbidden.
- ``style`` attributes: Alpine and django-unfold set them.
- the ``<style>`` elements of these digests: django-unfold's colours and its lists without actions,
  and the page of the API. A browser test says so when an upgrade changes one.
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
