"""The platform's settings, plus URLs of the views for comparison."""

from ratelimit_platform import settings as platform

vars().update({name: value for name, value in vars(platform).items() if name.isupper()})
ROOT_URLCONF = "benchmarks.web.urls"
