"""Each mistake still fits its file: `make mutants` takes an hour, and would stop at the first that does not."""

from pathlib import Path

import pytest

from tests.mutants.mutations import MUTATIONS, Mutation

BASE_DIR = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.new)
def test_what_it_replaces_stands_there_once(mutation: Mutation) -> None:
    assert (BASE_DIR / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1
    assert mutation.new != mutation.old
