"""A new project on SQLite that uses the package as described in docs/django-projects.md, and nothing else of it."""
