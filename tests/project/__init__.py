"""Rules of the repository: layers, glossary, groups of tests, and the checks of Django."""
