"""The measure of work in the complexity tests detects work that grows too fast."""

from collections.abc import Callable

import pytest

from tests.support.work import MOST, Call, Word, counted_range, growth, words

SLOW: dict[str, Callable[[list[Word]], object]] = {
    "in": lambda found: [each for each in found if each in found[1:]],
    "index": lambda found: [found.index(each) for each in found],
    "count": lambda found: [found.count(each) for each in found],
    "text": lambda found: [",".join(found).count("x") for _ in found],
    "next": lambda found: [next(each for each in found if each is sought) for sought in found],
    "positions": lambda found: [at for at in counted_range(len(found)) if at not in list(counted_range(len(found)))],
}


@pytest.mark.parametrize("name", SLOW)
def test_work_that_grows_too_fast_is_detected(name: str) -> None:
    assert growth(lambda size: lambda: SLOW[name](words("k", size)), 100) > MOST


def test_a_set_instead_of_a_list_grows_slowly_enough() -> None:
    def case(size: int) -> Call:
        found = words("k", size)
        return lambda: [each for each in found if each in set(words("k", 1))] and sorted(set(found))

    assert growth(case, 100) <= MOST
