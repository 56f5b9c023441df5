"""From rows to the rules that the servers decide by."""
