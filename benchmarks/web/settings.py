"""The platform's settings, with the views that it is compared with among its addresses."""

from ratelimit_platform import settings as platform

vars().update({name: value for name, value in vars(platform).items() if name.isupper()})
ROOT_URLCONF = "benchmarks.web.urls"
