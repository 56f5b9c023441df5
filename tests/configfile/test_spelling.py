"""Numbers, words and structures that YAML reads differently from people, and files that expand when they
are read."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.configfile.document import read
from limits.configfile.reading import MAX_ALIASED, InvalidConfig, parse
from ratelimit_enforcer.domain.limit import Limit
from tests.configfile.documents import documents
from tests.configfile.files import put, refusal
from tests.publishing.platforms import Platform
from tests.support.histories import history_settings

LIMIT = "policies: [{{slug: a, limits: [{{quota: {}, window: 60}}]}}]"
QUOTA = "policies[0].limits[0].quota: "
SIXTY = "1:" + "1:" * 300


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        *(("0100", "an octal number"), ("-017", "an octal number"), ("007", "an octal number")),
        *(("0x64", "a hexadecimal number"), ("0b1100", "a binary number"), ("0b_", "a binary number")),
        *(("1:00", "a base-60 number"), ("190:20:30.15", "a base-60 number")),
        *(("-1:30", "a base-60 number"), (f"{SIXTY}1", "a base-60 number")),
        # This once raised an uncaught OverflowError.
        (f"{SIXTY}1.5", "a base-60 number"),
        *(
            (".inf", "not a finite number"),
            ("-.INF", "not a finite number"),
            (".nan", "not a finite number"),
            ("1.0e+999", "too large a number"),
        ),
        *(("9" * 31, "too large a number"), ("9" * 10_000, "too large a number")),
        *(
            ("!!int ''", "not a number"),
            ("!!int abc", "not a number"),
            ("!!float ''", "not a number"),
            ("!!bool x", "neither"),
        ),
    ],
    ids=lambda text: text[:20],
)
def test_a_misread_number_is_explained_at_its_position(text: str, reading: str) -> None:
    (line,) = refusal(LIMIT.format(text))
    assert line.startswith(QUOTA)
    assert reading in line
    assert len(line) < 200


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 5_000])
def test_an_invalid_number_in_json(value: str) -> None:
    (line,) = refusal(f'{{"policies": [{{"slug": "a", "limits": [{{"quota": {value}, "window": 60}}]}}]}}')
    assert line.startswith(QUOTA)
    assert "number" in line


@pytest.mark.parametrize("text", ["0", "1", "+1", "1_000", "1000000000"])
def test_plain_numbers_are_read(text: str) -> None:
    assert read(LIMIT.format(text)).policies[0].limits[0] == Limit(int(text), 60)  # type: ignore[index]


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "true", "False", "NO"])
def test_a_word_that_yaml_reads_as_boolean_is_no_slug(word: str) -> None:
    assert refusal(f"plans: [{{slug: {word}}}]") == ["plans[0].slug: must be text (put it in quotes)."]
    assert read(f"plans: [{{slug: '{word.lower()}'}}]").plans[0].slug == word.lower()  # type: ignore[index]


@pytest.mark.parametrize("slug", ["0100", "1:30", "0x1f"])
def test_a_misread_number_is_no_slug(slug: str) -> None:
    assert refusal(f"plans: [{{slug: {slug}}}]")[0].endswith("or put a text in quotes.")


def test_default_may_be_yes() -> None:
    assert read("plans: [{slug: a, default: yes}]").default_plan == "a"


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "&a [*a]"])
def test_a_recursive_alias_is_rejected(text: str) -> None:
    assert "refers to a value that contains it" in refusal(text)[0]


def bomb(first: str, line: str, depth: int) -> str:
    lines = [f"a: &a {first}"]
    for old, new in zip("abcdefghijklm"[:depth], "bcdefghijklmn", strict=False):
        lines.append(f"{new}: &{new} " + line % ",".join([f"*{old}"] * 9))
    return "\n".join(lines)


@pytest.mark.parametrize(("first", "line"), [("[x, x]", "[%s]"), ("{x: 1}", "{<<: [%s]}"), ("{x: 1}", "{y: [%s]}")])
def test_exponentially_nested_aliases_are_rejected_before_expansion(first: str, line: str) -> None:
    for depth in (6, 12):
        (told,) = refusal(bomb(first, line, depth))
        assert f"expand to more than {MAX_ALIASED:,} values" in told
        assert told.startswith("line 6, ")


def test_many_policies_may_share_their_limits() -> None:
    first = "policies:\n  - {slug: p, limits: &shared [{quota: 1, window: 60}]}\n"
    policies = read(first + "".join(f"  - {{slug: p{at}, limits: *shared}}\n" for at in range(2_000))).policies
    assert {policy.limits for policy in policies or ()} == {(Limit(1, 60),)}


def test_a_merged_value_can_be_overridden_in_nested_mappings() -> None:
    data = parse("p: {q: {r: &b {<<: &a {x: 1, y: 1}, x: 2}}}\nc: {<<: *b, y: 3}")
    assert data == {"p": {"q": {"r": {"x": 2, "y": 1}}}, "c": {"x": 2, "y": 3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plans: []\nplans: []", "line 2, column 1: the key “plans” is a duplicate"),
        ("<<: {a: 1}\n<<: {b: 1}", "line 2, column 1: the key “<<” is a duplicate"),
        ('{"plans":\t[{"slug": "a", "slug": "b"}]}', "file: the key “slug” is a duplicate in one object."),
        ("1: 2", "line 1, column 1: the key 1 must be text (put it in quotes)"),
        ("? [a]\n: b", "line 1, column 3: the key must be text (put it in quotes)"),
        ("plans: !!set {a}", "line 1, column 8: could not determine a constructor for the tag"),
        ("plans: !!binary YQ==", "line 1, column 8: could not determine a constructor for the tag"),
        ("plans: !!python/object:os.system x", "line 1, column 8: could not determine a constructor for the tag"),
        ("plans: !!map [x]", "line 1, column 8: map must be a mapping"),
        ("plans: []\n# \0", "line 2, column 3: the character U+0000 is not allowed."),
        ("plans: [\ud800]", "line 1, column 9: the character U+D800 is not allowed."),
        ("[" * 5_000, "file: is nested too deeply."),
        ('{"a":' * 5_000, "file: is nested too deeply."),
        ("[" * 102 + "]" * 102, "file: is nested too deeply."),
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_other_kinds_of_files_are_rejected(text: str, message: str) -> None:
    assert refusal(text)[0].startswith(message)


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "", "x" * 257], ids=ascii)
def test_an_invalid_client_key_is_rejected(key: str) -> None:
    item = {"name": "a", "metric": "throttled", "threshold": 1, "emails": ["a@example.com"], "client": key}
    assert refusal(json.dumps({"alert_rules": [item]}))[0].startswith("alert_rules[0].client: must ")
    item = {"client": key, "policy": "all", "limits": [{"quota": 1, "window": 60}]}
    assert refusal(json.dumps({"overrides": [item]}))[0].startswith("overrides[0].client: must ")


def test_an_email_address_that_is_too_long() -> None:
    address = f"{'a' * 60}@{'.'.join(['b' * 60] * 4)}.example"
    rule = {"name": "a", "metric": "throttled", "threshold": 1, "emails": [address]}
    assert refusal(json.dumps({"alert_rules": [rule]})) == ["alert_rules[0].emails[0]: must be an email address."]


HOSTILE: list[Any] = [
    *(None, True, -1, 0, 1.5, 10**20, float("inf"), float("nan"), "", "\0", "\ud800", "x" * 600, "0100", "1:30"),
    *(
        "2026-13-45",
        "9999-12-31T23:59:59-14:00",
        "localtime",
        "a\u2028b",
        [],
        {},
        [None],
        {"\0": "\0"},
        "/",
        "* /{",
        "::1",
    ),
]


def spoil(draw: st.DrawFn, value: Any) -> Any:
    """Replaces one value of a document by an arbitrary one."""
    if isinstance(value, (dict, list)) and value and draw(st.integers(0, 5)):
        at = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        value[at] = spoil(draw, value[at])
        return value
    return draw(st.sampled_from(HOSTILE))


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    document = draw(documents())
    for _ in range(draw(st.integers(1, 3))):
        document = spoil(draw, document)
    return document


@pytest.mark.django_db
@history_settings(60)
@given(document=spoiled())
def test_any_changed_document_is_applied_or_rejected(platform: Platform, document: Any) -> None:
    with suppress(InvalidConfig):
        put(json.dumps(document), dry_run=True)
