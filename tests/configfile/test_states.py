"""The rules as a state: it has everything that the rows have, and edits of it can be compiled and applied."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from limits.domain.edits import apply_edits, edits_between
from limits.domain.states import data_of_state, rules_of_state, state_of_data
from limits.publishing.rules import read_ruleset, read_state
from ratelimit_enforcer.domain.rules import Rules
from tests.configfile.documents import documents
from tests.configfile.files import empty_tables, put
from tests.publishing.platforms import Platform
from tests.support.histories import FUZZ_EXAMPLES, PHASES

pytestmark = pytest.mark.django_db

SHOP = """
plans: [{slug: free, default: true}, {slug: pro}]
endpoints: [{slug: search, routes: ["GET /search"]}]
policies:
  - slug: search
    endpoint: search
    limits: [{quota: 10, window: 60}, {quota: 100, algorithm: calendar, period: day}]
overrides:
  - {clients: {plan: pro}, policy: search, limits: [{quota: 50, window: 60}]}
"""


def present_rules() -> Rules:
    found = read_ruleset()
    return Rules(found.plans, found.default_plan, found.endpoints, found.policies, found.segment_overrides)


@hypothesis_settings(
    max_examples=200 if FUZZ_EXAMPLES else 10,
    derandomize=not FUZZ_EXAMPLES,
    deadline=None,
    database=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
@given(document=documents())
def test_the_state_of_any_rows_has_the_rules_of_these_rows(platform: Platform, document: Any) -> None:
    empty_tables()
    put(json.dumps({section: items for section, items in document.items() if section != "alert_rules"}))
    state = read_state()
    assert rules_of_state(state) == present_rules()
    assert state_of_data(data_of_state(state)) == state
    assert put(json.dumps(data_of_state(state)), dry_run=True).changes == []


def test_edits_of_a_state_are_compiled_and_applied_to_rows(platform: Platform) -> None:
    put(SHOP)
    before = read_state()
    after = json.loads(json.dumps(before).replace('"quota": 10,', '"quota": 20,'))
    edits = edits_between(before, after)
    assert [edit.path for edit in edits] == [("policies", "search", "limits", "60s", "quota")]
    edited = apply_edits(before, edits).state
    put(json.dumps(data_of_state(edited)))
    assert rules_of_state(edited) == present_rules()
    assert read_state() == edited
