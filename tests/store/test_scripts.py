"""Assembly of the scripts from parts, and the codes that they share with Python."""

import re
from pathlib import Path

import pytest
from redis import Redis

from ratelimit_enforcer.domain.limit import MAX_USED, SECOND_US
from ratelimit_enforcer.domain.reservations import RETENTION
from ratelimit_enforcer.domain.sliding_window import NEVER
from ratelimit_enforcer.domain.usage import PolicyKind, RequestKind, SettlementKind
from ratelimit_enforcer.store import answers, requests, reservations, scripts
from ratelimit_enforcer.store.scripts import packing
from ratelimit_enforcer.store.scripts.packing import ALGORITHM_CODES, LEVEL, MODE_CODES, SEPARATE_VALUES

FOLDER = Path(scripts.__file__).parent


def test_a_part_is_replaced(redis_url: str) -> None:
    script = scripts.assembled("-- include: clock\nreturn clock", clock="local clock = {7, 8}")
    with Redis.from_url(redis_url) as redis:
        assert redis.eval(script, 0) == [7, 8]


@pytest.mark.parametrize("name", ["read_ancestors", "move_token"])
def test_a_part_that_a_script_does_not_include_cannot_be_replaced(name: str) -> None:
    with pytest.raises(ValueError, match="does not include the part clock"):
        scripts.load(name, clock="local clock = {7, 8}")


def test_the_time_is_read_in_one_part_only() -> None:
    """So a test that replaces the clock replaces every source of time."""
    with_time = [path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.lua") if "'TIME'" in path.read_text()]
    assert with_time == ["parts/clock.lua"]


ANSWERS = (
    "RULES_CHANGED",
    "CLIENT_CHANGED",
    "OUTSIDE_VALIDITY",
    "NOT_LOADED",
    "DAMAGED",
    "VALUES_EXHAUSTED",
    "RESERVED",
)
FLAGS = ("COMPLETE", "UNCOUNTED", "COUNT_DAMAGED", "TOO_MANY")


SETTLEMENT_KINDS = {
    "RESERVED_COST": SettlementKind.RESERVED,
    "SETTLEMENTS": SettlementKind.SETTLEMENTS,
    "SETTLED_COST": SettlementKind.SETTLED,
    "REFUNDED_COST": SettlementKind.REFUNDED,
    "DEBITED_COST": SettlementKind.DEBITED,
    "OVERDRAWN_COST": SettlementKind.OVERDRAWN,
}


@pytest.mark.parametrize(
    ("part", "codes"),
    [
        (
            "codes",
            {algorithm.name: code for algorithm, code in ALGORITHM_CODES.items()}
            | {mode.name: code for mode, code in MODE_CODES.items()}
            | {name: getattr(answers, name) for name in ANSWERS}
            | {name: getattr(answers, f"_{name}") for name in FLAGS}
            | {kind.name: kind for kind in requests.SettleableKind}
            | {"NEVER": NEVER, "SEPARATE_VALUES": SEPARATE_VALUES, "LEVEL": LEVEL, "MAX_USED": MAX_USED}
            | {name: getattr(packing, name) for name in ("ADMITS_OVER_QUOTA", "COUNTS_OVER_QUOTA", "BEYOND", "GRANT")}
            | {"OPEN": reservations.OPEN, "SETTLED": reservations.SETTLED, "RETENTION_US": RETENTION * SECOND_US},
        ),
        ("settlement_kinds", {name: kind.encode() for name, kind in SETTLEMENT_KINDS.items()}),
        ("kinds", {kind.name: kind.encode() for kind in RequestKind}),
        ("policy_kinds", {f"POLICY_{kind.name}": kind.encode() for kind in PolicyKind}),
    ],
)
def test_scripts_and_python_have_the_same_codes(redis_url: str, part: str, codes: dict[str, int | bytes]) -> None:
    text = (FOLDER / "parts" / f"{part}.lua").read_text(encoding="utf-8")
    names = ", ".join(re.findall(r"^local (.+) =", text, re.MULTILINE)).split(", ")
    with Redis.from_url(redis_url) as redis:
        values = redis.eval(f"{text} return {{{', '.join(names)}}}", 0)
    assert dict(zip(names, values, strict=True)) == codes
