"""Rules of the repository: layers, glossary, groups of tests, and Django's checks."""
