"""A Flask application with Flask-Limiter: prints the statuses of two requests, of which one is admitted."""

from flask import Flask
from flask_limiter import Limiter

app = Flask("shop")
Limiter(lambda: "ann", app=app, default_limits=["1/minute"], storage_uri="memory://")
app.add_url_rule("/", "tea", lambda: "tea")
print(*(app.test_client().get("/").status_code for _ in range(2)))
