"""Threads whose results are read by one."""

import threading
from collections.abc import Iterator

import pytest

from limits.simulation.lanes import Lanes, OnProgress


def test_all_results_arrive_and_progress_is_the_mean() -> None:
    seen: list[int] = []

    def work(lane: int, progress: OnProgress) -> Iterator[str]:
        for at in range(5):
            yield f"{lane}-{at}"
        progress(100)

    assert sorted(Lanes(work, 2, seen.append)) == [f"{lane}-{at}" for lane in range(2) for at in range(5)]
    assert seen == [50, 100]


def test_an_error_of_one_thread_is_raised_and_ends_the_others() -> None:
    ended = threading.Event()

    def work(lane: int, progress: OnProgress) -> Iterator[str]:
        if lane:
            raise ValueError("broken")
        try:
            while True:
                yield "more"
        finally:
            ended.set()

    with pytest.raises(ValueError, match="broken"):
        list(Lanes(work, 2, lambda percent: None))
    assert ended.wait(10)


def test_a_reader_that_stops_ends_the_threads() -> None:
    def work(lane: int, progress: OnProgress) -> Iterator[str]:
        while True:
            yield "more"

    before = threading.active_count()
    results = iter(Lanes(work, 2, lambda percent: None))
    assert next(results) == "more"
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
