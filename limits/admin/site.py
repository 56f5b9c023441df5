"""How the admin presents itself."""

from typing import Any

UNFOLD: dict[str, Any] = {"SITE_TITLE": "Rate limits", "SITE_HEADER": "Rate limits", "SITE_SYMBOL": "speed"}
