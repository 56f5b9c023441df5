"""Mutation tests: ``make mutants`` lists the small changes of the decision code that no test notices."""
