"""``make newcomer``: the README's commands on a machine with only the packages that the README lists."""
