"""The configurations that docs/proxies.md prints, with the addresses and the token of a test."""

import re
from collections.abc import Mapping

from tests.support.web import BASE_DIR

DOCUMENT = BASE_DIR / "docs" / "proxies.md"


def block(heading: str, language: str) -> str:
    """The code in this language below a heading of the second level: the only such block there."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return str(code)


def replaced(text: str, values: Mapping[str, str]) -> str:
    """The text with each of these words replaced, of which each must occur."""
    for old, new in values.items():
        assert old in text, f"The documented configuration has no “{old}”."
        text = text.replace(old, new)
    return text
