"""Edits in words."""

import pytest

from limits.domain.edit_words import place_in_words, summary, value_in_words
from limits.domain.edits import Edit

HOURLY = {"quota": 10, "window": 3600, "algorithm": "sliding_window"}
STATE = {"plans": {}, "endpoints": {}, "policies": {"search": {"limits": {"3600s": HOURLY}}}, "overrides": {}}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("plans", "gold"), "Plan gold"),
        (("endpoints", "search", "cost"), "Endpoint search, cost"),
        (("policies", "search", "on_store_failure"), "Policy search, on store failure"),
        (("policies", "search", "limits", "3600s"), "Policy search, limit 10 per hour"),
        (("policies", "search", "limits", "3600s", "quota"), "Policy search, limit 10 per hour, quota"),
        (("policies", "search", "limits", "60s", "quota"), "Policy search, limit 60s, quota"),
        (("overrides", "tags a,b search 2026-12-01T00:00:00Z", "reason"), "Override of search for tags a,b, reason"),
        (("overrides", "prefix two words: search ", "reason"), "Override of search for prefix two words:, reason"),
    ],
)
def test_the_place_of_an_edit(path: tuple[str, ...], words: str) -> None:
    assert place_in_words(path, {**STATE, "policies": {}}, STATE) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        (True, "yes"),
        (0, "0"),
        ("shadow", "shadow"),
        ([], "none"),
        (["GET /a", "GET /b"], "GET /a, GET /b"),
        (HOURLY, "10 per hour"),
        ({"slug": "x", "limits": {"3600s": HOURLY}, "default": True}, "slug: x; limits: 10 per hour; default: yes"),
        ({"tags": ["a", "b"]}, "tags: a, b"),
    ],
)
def test_the_value_of_an_edit(value: object, words: str) -> None:
    assert value_in_words(value) == words


def test_what_a_change_set_changes_in_short() -> None:
    edits = [
        Edit(("plans", "gold"), None, {"slug": "gold"}),
        Edit(("policies", "search", "mode"), None, "shadow"),
        Edit(("policies", "search", "limits", "3600s", "quota"), 10, 20),
        Edit(("endpoints", "old"), {"slug": "old"}, None),
    ]
    assert summary(edits[:3]) == "Plan gold (new), Policy search"
    assert summary(edits, most=1) == "Plan gold (new) and 2 more"
    assert summary(edits[3:]) == "Endpoint old (removed)"
    assert summary([]) == ""
