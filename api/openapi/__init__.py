"""The description of the API in OpenAPI 3.1, made by drf-spectacular and served at ``/api/schema/``.

The schemas are written as JSON Schema, not as serializers: a check is validated by hand, and only
JSON Schema can say exactly what is accepted.
"""
