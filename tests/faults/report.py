"""The table of ``make faults``."""

import os

from tests.faults.running import Findings, violations


def note(findings: Findings) -> None:
    """Prints the findings as a row of a Markdown table."""
    bound = findings.bound
    row = (
        findings.topology,
        findings.name,
        findings.requests,
        findings.degraded,
        bound.over,
        findings.over,
        findings.local_may,
        findings.over_local,
        f"{bound.back:.0f} s",
        f"{findings.back:.1f} s",
        f"{bound.stale:.0f} s",
        f"{findings.stale:.1f} s",
        findings.lost if bound.loses_counts else f"{findings.lost} (none allowed)",
        ", ".join(violations(findings)) or "as stated",
    )
    line = f"| {' | '.join(map(str, row))} |"
    print(line, flush=True)
    if file := os.environ.get("FAULT_TABLE"):
        with open(file, "a", encoding="utf-8") as table:
            table.write(line + "\n")
