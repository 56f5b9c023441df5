"""Settings, from environment variables.

====================  ==============================================  =================================
variable              meaning                                         default
====================  ==============================================  =================================
DATABASE_URL          PostgreSQL: postgresql://user:pw@host:port/db   started by `make run`
REDIS_URL             redis://, rediss://, unix://,                   started by `make run`
                      redis+sentinel:// or redis+cluster://
CELERY_BROKER_URL     the message broker of Celery                    the same Redis, next database
EMAIL_URL             smtp://user:pw@host:port, smtp+tls://…          emails become files in DATA_DIR
EMAIL_FROM            the sender of emails                            rate-limits@localhost
PUBLIC_URL            the admin's URL, for links                      http://127.0.0.1:PORT
DATA_DIR              the folder for all local files                  .data
PORT                  the port of the web server                      8000
WEB_WORKERS           processes of the web server                     2
GATEWAY_PORT          the port of the gateway's HTTP interface        8081
GATEWAY_GRPC_PORT     the port of the gateway's gRPC interface        GATEWAY_PORT + 1
GATEWAY_WORKERS       processes of the gateway                        2
NAMESPACE             the prefix of every key in Redis                rl
CHECK_DEADLINE        seconds that one whole check may take           0.1
SECRET_KEY            signs sessions                                  required, unless DEBUG
ALLOWED_HOSTS         host names of this site                         required, unless DEBUG
HTTPS                 served over TLS: secure cookies, HSTS           on
NUM_PROXIES           proxies in front of this server                 0
DEBUG                 for development only                            off
ADMIN_PASSWORD        password of the user that `make run` creates    random, printed
API_TOKEN             the token that `make run` creates               random, printed
DEMO                  0: no demo shop (neither data nor /shop/)       1
LOGIN_RATE_ADDRESS    login attempts per address                      20/10m
LOGIN_RATE_NAME       login attempts per user name                    30/10m
PASSWORD_LOGIN        0: nobody logs in to the admin by password      on
OIDC_ISSUER           the OpenID Connect provider of the admin        no sign-in by a provider
OIDC_NAME             the provider's name on the login page           its host
OIDC_CLIENT_ID        this site's id at the provider                  required with OIDC_ISSUER
OIDC_CLIENT_SECRET    this site's secret at the provider              required with OIDC_ISSUER
OIDC_ROLES            pairs group=role, separated by commas           required with OIDC_ISSUER
OIDC_GROUPS_CLAIM     the claim that lists the groups of a person     groups
OIDC_SCOPES           the scopes to request                           openid profile email
OIDC_RECHECK_SECONDS  seconds until the provider confirms a session   900
COUNTS_PER_BUCKET     new usage counts of one shard in a minute       128
KEEP_MINUTES          days for which usage is kept by minute          14
KEEP_HOURS            days for which usage is kept by hour            400
KEEP_DAYS             days for which usage is kept by day             730
APPROVAL_REQUIRED     changes of rules need a second person            off
APPROVAL_WEBHOOKS     URLs called when approval is requested           none
WEBHOOK_SECRET        signs webhooks: whsec_ and base64               no webhooks
WEBHOOK_ALLOWED_NETWORKS  private networks that webhooks may reach    none
METRICS_NETWORKS      networks with access to /metrics without token  none
FORWARD_AUTH_NETWORKS  networks of proxies that ask without a token    none
GATEWAY_NETWORKS      networks that may check over gRPC without token loopback
FORWARD_AUTH_CLIENT   header:NAME or cookie:NAME that names a client  none: by address
FORWARD_AUTH_CLIENT_IS_SECRET  0: the value is the key, no digest     on
FORWARD_AUTH_UNVERIFIED  1: the value need name no registered client  off
EXPOSE_HEADERS        whether other origins may read the headers      off
LOG_FORMAT            console or json                                 console on a terminal, else json
====================  ==============================================  =================================
"""

import sys
from pathlib import Path

from django.conf import global_settings

from ratelimit_platform import tracing
from ratelimit_platform.admin_site import UNFOLD
from ratelimit_platform.broker import default_broker, named_broker
from ratelimit_platform.content_security import CONTENT_SECURITY_POLICY
from ratelimit_platform.database import database
from ratelimit_platform.environment import (
    DATA_DIR,
    env,
    gateway_grpc_port,
    gateway_port,
    gateway_workers,
    port,
    required,
    web_workers,
)
from ratelimit_platform.logs import logging_config
from ratelimit_platform.mail_url import email_settings
from ratelimit_platform.sign_in import MIDDLEWARE as RECHECK
from ratelimit_platform.sign_in import backends, library_settings, sign_in
from ratelimit_platform.tracing import MIDDLEWARE as TRACES

__all__ = ["CONTENT_SECURITY_POLICY", "UNFOLD"]

_START = "Set it, or start `make run`, which includes both stores."

DEBUG = env.bool("DEBUG", False)
HTTPS = env.bool("HTTPS", True)
DEMO = env.bool("DEMO", True)
PORT = port()
# Used by `make web`; read here so that every process reports an invalid value.
WEB_WORKERS = web_workers()
GATEWAY_PORT, GATEWAY_GRPC_PORT, GATEWAY_WORKERS = gateway_port(), gateway_grpc_port(), gateway_workers()
NAMESPACE = env.str("NAMESPACE", "rl", pattern=r"[^\s{}]+", description="a word without braces and spaces")

if DEBUG:
    SECRET_KEY = env.str("SECRET_KEY", "for-development-only-" + "x" * 40)
    ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
else:
    SECRET_KEY = required("SECRET_KEY", _START)
    required("ALLOWED_HOSTS", _START)
    ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "simple_history",
    "ratelimit_platform.apps.PlatformAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "ratelimit_enforcer",
    "limits",
    "api",
    *(["demo"] if DEMO else []),
]

PASSWORD_LOGIN = env.bool("PASSWORD_LOGIN", True)
SIGN_IN = sign_in(PASSWORD_LOGIN)
AUTHENTICATION_BACKENDS = backends(SIGN_IN, PASSWORD_LOGIN)
LOGIN_REDIRECT_URL = "admin:index"
vars().update(library_settings(SIGN_IN))

MIDDLEWARE = [
    *([TRACES] if tracing.is_configured() else []),
    "ratelimit_platform.logs.RequestIdMiddleware",
    "ratelimit_enforcer.middleware.RateLimitHeadersMiddleware",
    "ratelimit_platform.middleware.ProbesMiddleware",
    "ratelimit_platform.middleware.HostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ratelimit_platform.middleware.ChecksMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "ratelimit_platform.middleware.LargeBodiesMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    *([RECHECK] if SIGN_IN else []),
    "django.contrib.messages.middleware.MessageMiddleware",
    "ratelimit_platform.middleware.PagesCSPMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]

ROOT_URLCONF = "ratelimit_platform.urls"
WSGI_APPLICATION = "ratelimit_platform.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Searched before the apps' templates, because it overrides some of django-unfold's.
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "limits.admin.drafts.draft_context",
            ],
        },
    },
]

DATABASES = {"default": database(required("DATABASE_URL", _START))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = required("REDIS_URL", _START)
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": [REDIS_URL],
        "OPTIONS": {"CONNECTION_FACTORY": "ratelimit_enforcer.caching.ConnectionFactory"},
    }
}
RATELIMIT_PLATFORM = {
    "REDIS": "default",
    "NAMESPACE": NAMESPACE,
    "CHECK_DEADLINE": env.float("CHECK_DEADLINE", 0.1, maximum=60),
    "CLIENT_IDENTIFIER": "demo.shop.shop_client" if DEMO else "",
    "COUNTS_PER_BUCKET": env.int("COUNTS_PER_BUCKET", 128, minimum=1),
    "KEEP_MINUTES": env.int("KEEP_MINUTES", 14, minimum=1),
    "KEEP_HOURS": env.int("KEEP_HOURS", 400, minimum=1),
    "KEEP_DAYS": env.int("KEEP_DAYS", 730, minimum=1),
    "APPROVAL_REQUIRED": env.bool("APPROVAL_REQUIRED", False),
    "APPROVAL_WEBHOOKS": env.list("APPROVAL_WEBHOOKS"),
    "WEBHOOK_SECRET": env.str("WEBHOOK_SECRET", ""),
    "WEBHOOK_ALLOWED_NETWORKS": env.networks("WEBHOOK_ALLOWED_NETWORKS"),
    "EXPOSE_HEADERS": env.bool("EXPOSE_HEADERS", False),
    "METRICS_NETWORKS": env.networks("METRICS_NETWORKS"),
    "FORWARD_AUTH_NETWORKS": env.networks("FORWARD_AUTH_NETWORKS"),
    "GATEWAY_NETWORKS": env.networks("GATEWAY_NETWORKS", ("127.0.0.0/8", "::1/128")),
    "FORWARD_AUTH_CLIENT": env.str(
        "FORWARD_AUTH_CLIENT",
        pattern=r"(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+",
        description="header:NAME or cookie:NAME, such as header:X-API-Key",
    ),
    "FORWARD_AUTH_CLIENT_IS_SECRET": env.bool("FORWARD_AUTH_CLIENT_IS_SECRET", True),
    "FORWARD_AUTH_UNVERIFIED": env.bool("FORWARD_AUTH_UNVERIFIED", False),
    "PUBLIC_URL": env.str(
        "PUBLIC_URL",
        f"http://127.0.0.1:{PORT}",
        pattern=r"https?://[^\s/]\S*",
        description="an address, https://limits.example.com",
    ),
}

_broker_url = env.str("CELERY_BROKER_URL")
_broker = named_broker(_broker_url) if _broker_url else default_broker(REDIS_URL)
CELERY_BROKER_URL = _broker.url
CELERY_BROKER_USE_SSL = _broker.use_ssl
CELERY_BROKER_TRANSPORT_OPTIONS = _broker.transport_options | {"global_keyprefix": f"{NAMESPACE}:celery:"}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A server that becomes a replica (a failover of a hosted Redis) answers every blocked command with an error, which
# kombu takes for a mistake in the command: without this setting, the worker ends.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 150
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "ratelimit_platform.beat.TickingScheduler"
CELERY_BEAT_SCHEDULE = {
    # A run that no worker started in time is dropped: the next one does the same work.
    "reconcile": {"task": "limits.tasks.reconcile", "schedule": 3.0, "options": {"expires": 6}},
    "drain-usage": {"task": "limits.tasks.drain_usage", "schedule": 5.0, "options": {"expires": 10}},
    "tidy-usage": {"task": "limits.tasks.tidy_usage", "schedule": 60.0, "options": {"expires": 120}},
    "read-quotas": {"task": "limits.tasks.read_quotas", "schedule": 60.0, "options": {"expires": 120}},
    "evaluate-alerts": {"task": "limits.tasks.evaluate_alerts", "schedule": 10.0, "options": {"expires": 20}},
    "watch-trials": {"task": "limits.tasks.watch_trials", "schedule": 30.0, "options": {"expires": 60}},
    "report-conflicts": {"task": "limits.tasks.report_conflicts", "schedule": 10.0, "options": {"expires": 20}},
    "send-mails": {"task": "limits.tasks.send_mails", "schedule": 10.0, "options": {"expires": 20}},
    "continue-imports": {"task": "limits.tasks.continue_imports", "schedule": 20.0, "options": {"expires": 40}},
    "continue-simulations": {
        "task": "limits.tasks.continue_simulations",
        "schedule": 20.0,
        "options": {"expires": 40},
    },
    "send-webhooks": {"task": "limits.tasks.send_webhooks", "schedule": 10.0, "options": {"expires": 20}},
    "send-to-services": {"task": "limits.tasks.send_to_services", "schedule": 10.0, "options": {"expires": 20}},
}
STORE_WATCH_SECONDS = 10.0
"""Seconds between two checks by a worker whether the store, which is also the broker, answers."""

_PASSWORDS = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_PASSWORDS}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_PASSWORDS}.MinimumLengthValidator"},
    {"NAME": f"{_PASSWORDS}.CommonPasswordValidator"},
]

PASSWORD_HASHERS = [
    "ratelimit_platform.password_hashers.BackgroundPBKDF2PasswordHasher",
    *(hasher for hasher in global_settings.PASSWORD_HASHERS if not hasher.endswith(".PBKDF2PasswordHasher")),
]
LOGIN_RATES = {
    "address": env.rate("LOGIN_RATE_ADDRESS", "20/10m"),
    "name": env.rate("LOGIN_RATE_NAME", "30/10m"),
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "ratelimit_platform.formats"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "ratelimit_platform.static_files.CollectedFiles"
    },
}

if email_url := env.str("EMAIL_URL"):
    vars().update(email_settings(email_url))
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = str(DATA_DIR / "mail")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", "Rate limits <rate-limits@localhost>")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "ratelimit_platform.error_handlers.csrf_failure"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_SSL_REDIRECT = HTTPS
# Programs do not send their token again after a redirection, so only people are redirected.
SECURE_REDIRECT_EXEMPT = [r"^(?!admin/)"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": env.int("NUM_PROXIES", 0),
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Rate limit platform",
    "DESCRIPTION": (
        "Decides whether each request to your services is within the limits of the client. "
        "Every error is a problem document (RFC 9457); each kind of error has a `type`."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_URLCONF": "api.urls",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": ["api.openapi.document.complete"],
    "TAGS": [
        {"name": "checks", "description": "Decisions about requests."},
        {"name": "clients", "description": "The registered clients; for tokens with the scope `clients`."},
        {"name": "changes", "description": "Prepared changes of the rules; for tokens with the scope `rules`."},
        {"name": "health", "description": "For load balancers, supervisors and Prometheus."},
    ],
    # The page loads nothing from other hosts, including the badge of an online validator.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}
DEFAULT_EXCEPTION_REPORTER_FILTER = "ratelimit_platform.error_handlers.ReporterFilter"
LOGGING = logging_config(
    env.str("LOG_FORMAT", "console" if sys.stderr.isatty() else "json", one_of=("console", "json"))
)
LOGGING_CONFIG = "logging.config.dictConfig"
