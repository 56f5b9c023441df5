"""A fresh project on SQLite, with what docs/django-projects.md says and nothing else of the platform's."""
