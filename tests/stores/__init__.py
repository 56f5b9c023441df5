"""``make stores``: the tests of the data plane with every server that is at hand."""
