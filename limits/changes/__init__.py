"""Change sets: prepared changes to the rules, which are reviewed before they are published."""
