"""Common parts of targets in Python and in Lua: names of variables in a pattern stand for any names."""


class NotOnce(Exception):
    """The target of a mutation was found ``times`` times instead of once."""

    def __init__(self, times: int) -> None:
        super().__init__(f"found {times} times, not once")


class Bindings(dict[str, str]):
    """Name in the pattern → name in the source."""

    def agree(self, wanted: str, found: str) -> bool:
        """Whether the name in the source can be the one in the pattern: each stands for one other."""
        if wanted not in self and found in self.values():
            return False
        return self.setdefault(wanted, found) == found


def is_literal(name: str) -> bool:
    """Names of classes and constants stand for themselves."""
    return name.lstrip("_")[:1].isupper()
