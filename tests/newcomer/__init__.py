"""``make newcomer``: the README's commands on a machine that has nothing but what it names."""
