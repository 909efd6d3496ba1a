"""What holds everywhere. Everything that differs between machines comes from the environment."""

from pathlib import Path

import environ
import pgtrigger

from treasury.settings import connections

env = environ.Env()
ROOT = Path(__file__).resolve().parent.parent.parent

GUOKU_ENVIRONMENT = env.str("GUOKU_ENVIRONMENT", "demo")  # demo, test or prod: keys of one never sign in another
GUOKU_STATE_DIR = Path(env.str("GUOKU_STATE_DIR", str(ROOT / ".state" / "demo")))

# Private keys lie in the signer process; here is only where to ask (treasury.settings.signer has the keys' place)
GUOKU_SIGNER = "seals.signer_client.SocketSigner"
GUOKU_SIGNER_SOCKET = env.str("GUOKU_SIGNER_SOCKET", str(GUOKU_STATE_DIR / "signer.sock"))
GUOKU_UKEY_URL = env.str("GUOKU_UKEY_URL", "http://127.0.0.1:13618")  # the agent on each officer's own machine
GUOKU_PERSON_KEY = env.str("GUOKU_PERSON_KEY", "")  # keys the digests of identity numbers; empty: the secret key
GUOKU_TSA_URL = env.str("GUOKU_TSA_URL", "")  # RFC 3161 over HTTP; without one roots stay without time stamps

INSTALLED_APPS = [
    "core",
    "evidence",
    "parties",
    "seals",
    "vouchers",
    "monitoring",
    "attachments",
    "budget",
    "cards",
    "contracts",
    "payments",
    "payroll",
    "emergency",
    "reconciliation",
    "dashboards",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "pgtrigger",
    "pghistory",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
]

MIDDLEWARE = [
    "treasury.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "treasury.urls"
WSGI_APPLICATION = "treasury.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": connections.database(env.str("DATABASE_URL", "postgresql:///guoku"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PGHISTORY_LEVEL = pgtrigger.Statement  # one history statement per batch, not one per row

# People and sessions
AUTH_USER_MODEL = "parties.User"
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 8 * 3600  # a working day
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# What a browser may load and do: nothing from elsewhere, no inline script or style
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "frame-src": [GUOKU_UKEY_URL],
        "connect-src": ["'self'", GUOKU_UKEY_URL],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000  # a request of 499 payees, seven fields each
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024  # an envelope of 100 vouchers; nginx refuses more as well

# Files of officers: where they lie, outside the web root, and how much may be sent (docs/attachments.md)
GUOKU_ATTACHMENTS_DIR = env.str("GUOKU_ATTACHMENTS_DIR", "")  # empty: `attachments` in the state directory
GUOKU_UPLOAD_FILE_BYTES = env.int("GUOKU_UPLOAD_FILE_BYTES", 20 * 1024 * 1024)
GUOKU_UPLOAD_REQUEST_BYTES = env.int("GUOKU_UPLOAD_REQUEST_BYTES", 60 * 1024 * 1024)  # nginx refuses more as well
GUOKU_UPLOAD_FILES = env.int("GUOKU_UPLOAD_FILES", 50)  # of one document
GUOKU_PHONE_MINUTES = env.int("GUOKU_PHONE_MINUTES", 10)  # a phone's upload page lives so long
GUOKU_PHONE_RATE = env.str("GUOKU_PHONE_RATE", "60/min")  # of one address, for each web process
GUOKU_PHONE_TOTAL_RATE = env.str("GUOKU_PHONE_TOTAL_RATE", "600/min")

GUOKU_PAPER_KEY = env.str("GUOKU_PAPER_KEY", "")  # of the codes printed on paper; empty: the secret key

# Language and time
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
TIME_ZONE = "Asia/Shanghai"
USE_I18N = True
USE_TZ = True

# Static files: vendored, served by the web process itself
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("GUOKU_STATIC_ROOT", str(GUOKU_STATE_DIR / "static")))
STATICFILES_DIRS = [ROOT / "static"]

# The banks' API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],  # partners sign their messages; the views say so themselves
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "vouchers.problems.problem_handler",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Guoku 国库集中支付 voucher exchange",
    "DESCRIPTION": "How agent banks and the treasury exchange sealed vouchers with the finance bureau.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Deadlines of reviews count these hours of the worked days (core.working_time); eight of them are a day
GUOKU_WORKING_HOURS = env.str("GUOKU_WORKING_HOURS", "08:30-12:00,13:30-18:00")

# Exchange with partners
GUOKU_READ_TIMEOUT = env.float("GUOKU_READ_TIMEOUT", 20.0)  # seconds for an answer; after that the exchange is UNKNOWN
GUOKU_API_RATE = env.str("GUOKU_API_RATE", "3000/min")  # requests of one partner, for each web process
GUOKU_CUT_OFF = env.bool("GUOKU_CUT_OFF", False)  # hold the clock against the day's cut-off; a demo's day is long past
GUOKU_RESEND_AFTER = env.float("GUOKU_RESEND_AFTER", 5.0)  # seconds during which a sent voucher may still arrive

# Celery: the broker only wakes the workers; what is due stands in PostgreSQL (outbox, inbox)
REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = connections.broker(REDIS_URL)
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 100  # seconds; far below the visibility timeout, after which a task runs a second time
CELERY_TASK_TIME_LIMIT = 120
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,  # without these two a killed worker's task comes back after 102 s instead of 10 s
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "health_check_interval": 25,
}
# A web request never waits for the broker: the relay finds the row anyway.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000
CELERY_BEAT_SCHEDULE = {
    # A tick that nobody took within its own period is worth nothing: the next one does the same.
    "relay": {"task": "vouchers.relay", "schedule": 1.0, "options": {"expires": 2}},
    "sweep_inbox": {"task": "vouchers.sweep_inbox", "schedule": 2.0, "options": {"expires": 4}},
    "resolve_unknown": {"task": "vouchers.resolve_unknown", "schedule": 2.0, "options": {"expires": 4}},
    "ask_recalls": {"task": "payments.ask_recalls", "schedule": 5.0, "options": {"expires": 10}},
    "order_refunds": {"task": "payments.order_refunds", "schedule": 10.0, "options": {"expires": 20}},
    "forget_old_keys": {"task": "core.forget_old_keys", "schedule": 24 * 3600.0},
    "run_scheduled": {"task": "monitoring.run_scheduled", "schedule": 600.0, "options": {"expires": 600}},
    "forget_nonces": {"task": "vouchers.forget_nonces", "schedule": 600.0},
    "settle_uploads": {"task": "attachments.settle", "schedule": 600.0, "options": {"expires": 600}},
    "sequence": {"task": "evidence.sequence", "schedule": 1.0, "options": {"expires": 2}},
    "make_roots": {"task": "evidence.make_roots", "schedule": 5.0, "options": {"expires": 10}},
    "stamp_roots": {"task": "evidence.stamp_roots", "schedule": 10.0, "options": {"expires": 20}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "treasury.jsonlog.JsonFormatter"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"handlers": ["stdout"], "level": env.str("GUOKU_LOG_LEVEL", "INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        "httpx2": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},  # two lines for every tick of the relay
        "celery.app.trace": {"level": "WARNING"},
    },
}
