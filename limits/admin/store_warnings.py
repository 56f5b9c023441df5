"""The admin's first page says what is wrong with how the store is set up."""

from limits.store.advice import advisor
from limits.store.errors import StoreError


def store_warnings() -> list[str]:
    """A sentence for each thing to change in the store; none where it cannot be asked."""
    try:
        return advisor().look()
    except StoreError:
        return []
