"""Rejected files that are not valid YAML, or contain unknown fields or wrong types."""

from collections.abc import Iterable

import pytest

from tests.configfile.files import LIMITS, refusal

TEXT = "must be text (put it in quotes)."
WHOLE = "must be a whole number."


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("plans: [", "line 1, column 9"),
        ("plans:\n  - {slug: free\n", "line 3, column 1"),
        ("plans: []\n\tclients: []", "line 2, column 1"),
        ("plans: []\n---\nclients: []", "line 2, column 1"),
        ("plans: *nowhere", "line 1, column 8"),
        ("plans: !!python/object:os.system {}", "line 1, column 8"),
        ("plans: \x01", "line 1, column 8"),
        ("[" * 3_000, "file"),
    ],
    ids=["unclosed", "unclosed item", "tab", "two documents", "no anchor", "python tag", "control", "too deep"],
)
def test_invalid_yaml_is_reported_with_its_line(text: str, where: str) -> None:
    (line, *_) = refusal(text)
    assert line.startswith(f"{where}: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plans: []\nplans: []", "line 2, column 1: the key “plans” is a duplicate"),
        ("plans: [{slug: a, slug: b}]", "line 1, column 19: the key “slug” is a duplicate"),
        ('{"clients": [],\n"clients": []}', "line 2, column 1: the key “clients” is a duplicate"),
        ("1: x", "line 1, column 1: the key 1 must be text (put it in quotes)"),
        ("plans: [{on: x}]", "line 1, column 10: the key on must be text (put it in quotes)"),
        ("[a]: x", "line 1, column 1: the key must be text (put it in quotes)"),
    ],
)
def test_keys_of_a_mapping_are_unique_texts(text: str, line: str) -> None:
    assert refusal(text) == [line]


UNKNOWN = {
    "plan: []": "plan",
    "plans: [{slug: a, price: 5}]": "plans[0].price",
    "endpoints: [{slug: a}, {slug: b, route: GET /a}]": "endpoints[1].route",
    f"policies: [{{slug: a, burst: 5, {LIMITS}}}]": "policies[0].burst",
    "policies: [{slug: a, limits: [{quota: 1, window: 60, Window: 60}]}]": "policies[0].limits[0].Window",
    "clients: [{key: a, tier: b}]": "clients[0].tier",
    f"overrides: [{{client: a, policy: b, until: c, {LIMITS}}}]": "overrides[0].until",
}


@pytest.mark.parametrize(("text", "path"), UNKNOWN.items(), ids=UNKNOWN.values())
def test_unknown_fields_are_rejected(text: str, path: str) -> None:
    (line,) = refusal(text)
    assert line.startswith(f"{path}: is unknown; allowed here: ")


def test_the_error_for_an_unknown_field_lists_the_known_ones() -> None:
    assert refusal("clients: [{key: a, tier: b}]") == [
        "clients[0].tier: is unknown; allowed here: key, name, plan, status, tags, parent."
    ]


MISSING = {
    "plans: [{}]": "plans[0].slug",
    "endpoints: [{name: Search}]": "endpoints[0].slug",
    f"policies: [{{{LIMITS}}}]": "policies[0].slug",
    "policies: [{slug: a}]": "policies[0].limits",
    "policies: [{slug: a, limits: [{window: 60}]}]": "policies[0].limits[0].quota",
    "clients: [{key: a}, {name: b}]": "clients[1].key",
    f"overrides: [{{policy: b, {LIMITS}}}]": "overrides[0].client",
    f"overrides: [{{client: a, {LIMITS}}}]": "overrides[0].policy",
    "overrides: [{client: a, policy: b}]": "overrides[0].limits",
}


@pytest.mark.parametrize(("text", "path"), MISSING.items(), ids=MISSING.values())
def test_missing_fields_are_rejected(text: str, path: str) -> None:
    assert refusal(text) == [f"{path}: is missing."]


def typed(path: str, values: Iterable[str], message: str) -> list[tuple[str, str, str]]:
    return [(path, value, message) for value in values]


FIELDS = {
    "plans": "plans: {}",
    "plans[0]": "plans: [{}]",
    "plans[0].slug": "plans: [{{slug: {}}}]",
    "plans[0].name": "plans: [{{slug: a, name: {}}}]",
    "plans[0].default": "plans: [{{slug: a, default: {}}}]",
    "endpoints[0].routes": "endpoints: [{{slug: a, routes: {}}}]",
    "endpoints[0].routes[0]": "endpoints: [{{slug: a, routes: [{}]}}]",
    "endpoints[0].cost": "endpoints: [{{slug: a, cost: {}}}]",
    "policies[0].mode": "policies: [{{slug: a, limits: [], mode: {}}}]",
    "policies[0].partition": "policies: [{{slug: a, limits: [], partition: {}}}]",
    "policies[0].on_store_failure": "policies: [{{slug: a, limits: [], on_store_failure: {}}}]",
    "policies[0].over_quota": "policies: [{{slug: a, limits: [], over_quota: {}}}]",
    "policies[0].plan": "policies: [{{slug: a, limits: [], plan: {}}}]",
    "policies[0].limits": "policies: [{{slug: a, limits: {}}}]",
    "policies[0].limits[0]": "policies: [{{slug: a, limits: [{}]}}]",
    "policies[0].limits[0].quota": "policies: [{{slug: a, limits: [{{quota: {}}}]}}]",
    "policies[0].limits[0].window": "policies: [{{slug: a, limits: [{{quota: 1, window: {}}}]}}]",
    "policies[0].limits[0].burst": "policies: [{{slug: a, limits: [{{quota: 1, burst: {}}}]}}]",
    "policies[0].limits[0].algorithm": "policies: [{{slug: a, limits: [{{quota: 1, algorithm: {}}}]}}]",
    "clients[0].key": "clients: [{{key: {}}}]",
    "clients[0].status": "clients: [{{key: a, status: {}}}]",
    "overrides[0].starts_at": "overrides: [{{client: a, policy: b, limits: [], starts_at: {}}}]",
    "overrides[0].reason": "overrides: [{{client: a, policy: b, limits: [], reason: {}}}]",
}
NO_NUMBERS = ["true", "yes", "1.0", "1.5", '"1"', "1e3", "null", "[1]", "{}"]
NO_TEXTS = ["1", "1.5", "true", "no", "null", "[a]", "{}"]
WRONG = [
    *typed("plans", ["null", "free", "{}", "1"], "must be a list."),
    *typed("plans[0]", ["null", "free", "[]", "1"], "must be a mapping of fields."),
    *typed("plans[0].slug", NO_TEXTS, TEXT),
    *typed("plans[0].name", NO_TEXTS, TEXT),
    *typed("plans[0].default", ["1", "null", '"true"'], "must be true or false."),
    *typed("endpoints[0].routes", ["null", "GET /a"], "must be a list."),
    *typed("endpoints[0].routes[0]", ["null", "1", "{GET: /a}"], TEXT),
    *typed("endpoints[0].cost", NO_NUMBERS, WHOLE),
    *typed("policies[0].mode", ["null", "off", "Enforce", "1"], "must be one of: enforce, shadow, disabled."),
    *typed(
        "policies[0].partition", ["null", "everyone"], "must be client, global, or a list of client and attributes."
    ),
    *typed("policies[0].on_store_failure", ["null", "open"], "must be one of: local, allow, deny."),
    *typed("policies[0].over_quota", ["null", "allow"], "must be one of: deny, count."),
    *typed("policies[0].plan", ["1", "true", "[a]"], "must be text (put it in quotes) or empty."),
    *typed("policies[0].limits", ["null", "1", "{quota: 1, window: 60}"], "must be a list."),
    *typed("policies[0].limits[0]", ["null", "1", "[]"], "must be a mapping of fields."),
    *typed("policies[0].limits[0].quota", NO_NUMBERS, WHOLE),
    *typed("policies[0].limits[0].window", NO_NUMBERS, WHOLE),
    *typed("policies[0].limits[0].burst", NO_NUMBERS, WHOLE),
    *typed(
        "policies[0].limits[0].algorithm",
        ["null", "leaky_bucket", "1"],
        "must be one of: sliding_window, token_bucket, fixed_window, calendar, concurrency.",
    ),
    *typed("clients[0].key", NO_TEXTS, TEXT),
    *typed("clients[0].status", ["null", "Blocked", "true"], "must be one of: active, exempt, blocked."),
    *typed("overrides[0].starts_at", ["1", "true", "[]"], "must be text (put it in quotes) or empty."),
    *typed("overrides[0].reason", NO_TEXTS, TEXT),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_values_of_a_wrong_type_are_rejected(path: str, value: str, message: str) -> None:
    assert refusal(FIELDS[path].format(value)) == [f"{path}: {message}"]


@pytest.mark.parametrize("text", ["[]", "- plans", "plans", "1", "true"])
def test_a_file_that_is_not_a_mapping_is_rejected(text: str) -> None:
    assert refusal(text) == ["file: must be a mapping of fields."]


def test_all_problems_of_shape_are_reported_together() -> None:
    text = """
        plans: [{slug: 1}]
        policies:
          - {slug: a, limits: [{quota: 1, window: 60}]}
          - {slug: b, limits: [{quota: 1, window: soon}], mode: loud}
          - {slug: c, limits: [{quota: true, window: 60}, {window: 60, per: minute}]}
        clients: acme
        rules: []
    """
    assert {line.partition(": ")[0] for line in refusal(text)} == {
        "plans[0].slug",
        "policies[1].limits[0].window",
        "policies[1].mode",
        "policies[2].limits[0].quota",
        "policies[2].limits[1].quota",
        "policies[2].limits[1].per",
        "clients",
        "rules",
    }
