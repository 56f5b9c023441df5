"""The headline table in the README, written by a complete run."""

from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- make bench -->", "<!-- /make bench -->"


def put(text: str) -> None:
    """Writes the table between the marks. Raises ``ValueError`` if the README has none."""
    README.write_text(replaced(README.read_text(encoding="utf-8"), text), encoding="utf-8")


def replaced(readme: str, text: str) -> str:
    """The README with this text between the two marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The README has no {BEGIN} … {END}.")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
