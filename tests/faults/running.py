"""One fault under load: injected, verified, repaired; then the checker evaluates the answers."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults import checker
from tests.faults.history import History
from tests.faults.injectors import Bound, Fault
from tests.faults.mode import LONG
from tests.faults.world import CLIENTS, QUOTA, WINDOW, Publisher, World

STEADY = (1.5 if LONG else 1.0) * WINDOW
"""Seconds of load before the fault, and after it: a whole window, besides the time until the store decides for every
server."""


@dataclass
class Findings:
    """The measured effects of a fault, and the stated bounds."""

    topology: str
    name: str
    bound: Bound
    requests: int
    degraded: int
    over: int
    over_local: int
    local_may: int
    back: float
    stale: float
    lost: int
    wrong: dict[str, object] = field(default_factory=dict)


def run(fault: Fault, world: World, topology: str, seconds: float) -> Findings:
    """Keeps the fault for this time, and returns the findings."""
    before = world.counted()
    history = _history(fault, world, seconds)
    fault.clear()
    world.asked.update(request.client for request in history.requests)
    after = world.counted()
    findings = judge(fault, topology, history, after - before)
    # Totals, because decisions without the store may be counted only during the next fault.
    findings.wrong["counted twice"] = dict(after - world.asked)
    return findings


def _history(fault: Fault, world: World, seconds: float) -> History:
    load = world.begin_load()
    publisher = Publisher(load.history)
    try:
        load.wait_until_shared()
        load.run_for(STEADY)
        load.history.broken = time.monotonic()
        fault.inject()
        fault.prove()
        load.run_for(seconds)
        fault.mend()
        load.history.mended = time.monotonic()
        load.wait_until_shared()
        load.run_for(STEADY)
    finally:
        publisher.end()
        history = load.end()
    return history


def judge(fault: Fault, topology: str, history: History, counted: Counter[str]) -> Findings:
    """Compares the answers with the stated bounds."""
    bound = fault.bound
    miscounted = checker.miscounted(history, counted)
    phases = checker.degraded_phases(history, "local")
    findings = Findings(
        topology=topology,
        name=fault.name,
        bound=bound,
        requests=len(history.requests),
        degraded=sum(request.degraded for request in history.requests),
        over=checker.over_admitted(history, "strict", QUOTA, WINDOW),
        over_local=checker.over_admitted(history, "local", QUOTA, WINDOW),
        local_may=bound.over + phases * QUOTA,
        back=checker.back_after(history),
        stale=checker.stale_for(history),
        lost=sum(low - found for low, found, _ in miscounted.values() if found < low),
    )
    findings.wrong = {
        "over the quota": max(0, findings.over - bound.over),
        "over the quota, local": max(0, findings.over_local - findings.local_may),
        "denied with capacity": checker.wrongly_denied(history, "strict", QUOTA, WINDOW)[:3],
        "old rules": checker.stale(history, bound.stale)[:3],
        "answers": dict(checker.failures(history, may_refuse=["strict"])),
        "not counted": 0 if bound.loses_counts else findings.lost,
    }
    return findings


def violations(findings: Findings) -> dict[str, object]:
    """The violations by name; empty if there are none."""
    return {name: what for name, what in findings.wrong.items() if what}


__all__ = ["CLIENTS", "Findings", "judge", "run", "violations"]
