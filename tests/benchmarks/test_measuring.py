"""Measuring in several rounds."""

from collections.abc import Callable

from benchmarks.measuring import Sample, Spread, interleaved, ratio, spread


def counting(order: list[str], name: str) -> Callable[[], Sample]:
    """Records that it was measured, and returns the number of measurements."""

    def measure() -> Sample:
        order.append(name)
        return {"us": float(order.count(name))}

    return measure


def test_each_subject_is_measured_in_every_round_and_warmed_up_before() -> None:
    order: list[str] = []
    series = interleaved({name: counting(order, name) for name in "ab"}, 3)
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert [sample["us"] for sample in series["a"]] == [2, 3, 4]


def test_a_round_of_several_turns_is_their_median() -> None:
    order: list[str] = []
    series = interleaved({name: counting(order, name) for name in "ab"}, rounds=2, turns=3)
    assert order.count("a") == 1 + 2 * 3
    assert [sample["us"] for sample in series["a"]] == [3, 6]


def test_ratios_are_taken_within_each_round() -> None:
    # A machine that was three times slower in the second round was slower for both.
    ours, floor = [{"us": 20.0}, {"us": 60.0}, {"us": 24.0}], [{"us": 10.0}, {"us": 30.0}, {"us": 10.0}]
    assert ratio(ours, floor, "us") == Spread(2.0, 2.0, 2.4)
    assert spread(ours, "us") == Spread(24.0, 20.0, 60.0)
