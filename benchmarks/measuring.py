"""Interleaved measurement of several subjects, and comparison within the same round.

Other load on the machine affects all subjects of a round equally, so ratios are taken within each round, and
then their median.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from statistics import median

Sample = Mapping[str, float]
"""The result of one round of one subject: name of a figure → value."""

Subject = Callable[[], Sample]
"""Measures one round."""

Series = Sequence[Sample]
"""All rounds of one subject, in order."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum of a figure over all rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        sorted_values = sorted(values)
        return cls(median(sorted_values), sorted_values[0], sorted_values[-1])


def interleaved(subjects: Mapping[str, Subject], rounds: int, turns: int = 1) -> dict[str, Series]:
    """Measures each subject once to warm up, then all of them in every round; in reverse order every other round, so
    that no subject always follows the same one.

    A round may consist of several short ``turns``, and each figure is their median, so that a short disturbance does
    not affect one subject alone.
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
    """The ratio of a figure of one subject to that of another, taken in each round."""
    return Spread.of(sample[figure] / other[figure] for sample, other in zip(series, to, strict=True))


def timed(call: Callable[[], object], calls: int) -> dict[str, float]:
    """Microseconds per call: ``us`` of elapsed time, ``cpu_us`` of CPU time of this process."""
    began, worked = time.perf_counter(), time.process_time()
    for _ in repeat(None, calls):
        call()
    elapsed, work = time.perf_counter() - began, time.process_time() - worked
    return {"us": elapsed / calls * 1e6, "cpu_us": work / calls * 1e6}
