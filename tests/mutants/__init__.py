"""Mutation tests: ``make mutants`` lists the small changes to the decision code that no test detects."""
