"""Measuring several subjects in turn, and comparing what was measured in the same round.

Whatever else the machine does falls on all subjects of a round alike, so ratios are taken within each
round; only then comes the median.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from statistics import median

Sample = Mapping[str, float]
"""What one round of one subject gave: the name of a figure → its value."""

Subject = Callable[[], Sample]
"""Measures one round."""

Series = Sequence[Sample]
"""All rounds of one subject, in their order."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        sorted_values = sorted(values)
        return cls(median(sorted_values), sorted_values[0], sorted_values[-1])


def interleaved(subjects: Mapping[str, Subject], rounds: int, turns: int = 1) -> dict[str, Series]:
    """Each subject once to warm up, then all of them in every round; every other round goes
    backwards, so that none always comes after the same one.

    A round may have several short ``turns``, of which each figure is the median: what else the machine
    does in one moment then falls on no subject alone.
    """
    for measure in subjects.values():
        measure()
    measured: dict[str, list[Sample]] = {name: [] for name in subjects}
    order = list(subjects.items())
    for _ in range(rounds * turns):
        for name, measure in order:
            measured[name].append(measure())
        order.reverse()
    return {name: tuple(map(_middle, _in_rounds(samples, turns))) for name, samples in measured.items()}


def _in_rounds(samples: Series, turns: int) -> list[Series]:
    return [samples[at : at + turns] for at in range(0, len(samples), turns)]


def _middle(samples: Series) -> Sample:
    return {figure: median(sample[figure] for sample in samples) for figure in samples[0]}


def spread(series: Series, figure: str) -> Spread:
    return Spread.of(sample[figure] for sample in series)


def ratio(series: Series, to: Series, figure: str) -> Spread:
    """A figure of one subject over that of another, round by round."""
    return Spread.of(sample[figure] / other[figure] for sample, other in zip(series, to, strict=True))


def timed(call: Callable[[], object], calls: int) -> dict[str, float]:
    """Microseconds for one call: ``us`` of time, ``cpu_us`` of this process's work."""
    began, worked = time.perf_counter(), time.process_time()
    for _ in repeat(None, calls):
        call()
    elapsed, work = time.perf_counter() - began, time.process_time() - worked
    return {"us": elapsed / calls * 1e6, "cpu_us": work / calls * 1e6}
