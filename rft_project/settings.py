"""Settings of RFT Studio. What differs between installations comes from the environment (see .env.example)."""

from __future__ import annotations

from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from rft_project.env import env_bool, env_choice, env_int, env_list, env_str, read_dotenv

BASE_DIR = Path(__file__).resolve().parent.parent
read_dotenv(BASE_DIR / ".env")

DEBUG = env_bool("DEBUG")
SECRET_KEY = env_str("SECRET_KEY")
FIELD_ENCRYPTION_KEYS = env_list("FIELD_ENCRYPTION_KEYS")
SEALED = ["connections.Connection", "datasets_app.Vault"]  # models with something sealed by these keys
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]" if DEBUG else None)
DATA_DIR = Path(env_str("DATA_DIR", str(BASE_DIR / "data"))).resolve()
try:
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"DATA_DIR: the folder {DATA_DIR} cannot be made: {error.strerror}.") from error
ENGINE_URL = env_str("ENGINE_URL", "http://127.0.0.1:8765/v1")
ENGINE_KEY = env_str("ENGINE_KEY", "")
# host:port pairs inside private networks that connections may call; all other private addresses are refused.
ALLOWED_PRIVATE_ENDPOINTS = env_list("ALLOWED_PRIVATE_ENDPOINTS", "")
# Seconds after which a paid call that was not answered, and that the platform's list does not show, counts as not made.
SPENDING_GRACE = env_int("SPENDING_GRACE", 900)
SPENDING_GRACE_LOCAL = 10  # our own engine writes a job down before it answers
# Plain HTTP is for one's own machine: without it cookies are secure and every request is sent to HTTPS.
INSECURE_HTTP = env_bool("INSECURE_HTTP")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "django_htmx",
    "django_q",
    "axes",
    "csp",
    "rft_project.connections",
    "rft_project.money",
    "rft_project.jobs",
    "rft_project.ledger",
    "rft_project.web",
    "datasets_app",
    "graders_app",
    "wizard_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "rft_project.urls"
WSGI_APPLICATION = "rft_project.wsgi.application"
FORM_RENDERER = "rft_project.web.forms.StudioFormRenderer"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "rft_project.web.context.studio",
            ],
            "builtins": ["rft_project.web.templatetags.ui"],
        },
    },
]

try:
    DATABASES = {"default": dj_database_url.parse(env_str("DATABASE_URL", f"sqlite:///{DATA_DIR / 'studio.sqlite3'}"))}
except (ValueError, dj_database_url.UnknownSchemeError):
    DATABASES = {"default": {"ENGINE": ""}}
if not DATABASES["default"]["ENGINE"].endswith(("sqlite3", "postgresql")):
    raise ImproperlyConfigured(
        "DATABASE_URL cannot be used; write postgres://user:password@host/name or sqlite:////path/of/the/file."
    )
# One connection per process, kept: django-q2 opens one per task otherwise (5 times slower).
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        transaction_mode="IMMEDIATE",  # a reader that turns writer would fail at once instead of waiting
        timeout=20,
        # the size of pages holds for a new database only, before anything is written to it
        init_command="PRAGMA page_size=8192;PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON;",
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# django-q2 only rings the bell ("wake up, job 17"); truth, retries and attempts are in our Job rows.
Q_CLUSTER = {
    "name": "rft",
    "orm": "default",
    "label": "Queue",
    "workers": env_int("Q_WORKERS", 2, minimum=1),
    "queue_limit": 1,  # no prefetch: the retry clock runs while a task waits
    "bulk": 1,
    "timeout": 300,
    "retry": 1200,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "poll": 0.2,
    "guard_cycle": 0.5,  # timeout + 3 must be a whole multiple, or a hung task is never stopped
    "recycle": 200,
    "catch_up": False,
}

# kind -> dotted path of the handler; lets the job runner stay below the apps.
JOB_HANDLERS = {
    "import": "datasets_app.jobs.run_import",
    "reread": "datasets_app.jobs.run_reread",
    "sanitize": "datasets_app.jobs.run_sanitize",
    "scan_pii": "datasets_app.jobs.run_scan_pii",
    "topics": "datasets_app.jobs.run_topics",
    "categorize": "datasets_app.jobs.run_categorize",
    "resort": "datasets_app.jobs.run_resort",
    "split_topic": "datasets_app.jobs.run_split_topic",
    "generate": "datasets_app.jobs.run_generate",
    "bulk": "datasets_app.jobs.run_bulk",
    "undo": "datasets_app.jobs.run_undo",
    "snapshot": "datasets_app.jobs.run_snapshot",
    "search": "datasets_app.jobs.run_search",
    "export": "datasets_app.jobs.run_export",
    "split": "wizard_app.jobs.run_split",
    "attack": "wizard_app.jobs.run_attack_job",
    "dry_run": "wizard_app.jobs.run_dry_run",
    "repeats": "wizard_app.jobs.run_repeats",
    "train": "wizard_app.jobs.run_train",
    "evaluate": "wizard_app.jobs.run_evaluate",
    "deploy": "wizard_app.jobs.run_deploy",
}

# Called every minute by the sweep; each puts away what has had its time, and costs one query where there is nothing.
HOUSEKEEPING = ["datasets_app.exports.forget_expired"]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "web/locked_out.html"
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign_in"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not (DEBUG or INSECURE_HTTP)
if SECURE_SSL_REDIRECT:
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env_bool("BEHIND_PROXY") else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", "")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
UPLOAD_DIR = DATA_DIR / "uploads"
UPLOAD_LIMIT = env_int("UPLOAD_LIMIT_GB", 100, minimum=1) * 10**9  # bytes that may wait to be imported, per workspace
EXPORT_DIR = DATA_DIR / "exports"
# How python graders run. The sandbox reads the variable itself: the engine, which runs them too, knows no settings.
GRADER_BACKEND = env_choice("GRADER_BACKEND", ("jail", "off"))
TOPIC_EMBEDDINGS = env_str("TOPIC_EMBEDDINGS", "static")  # or minilm: better and some hundred times slower
FILE_UPLOAD_TEMP_DIR = None

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
USE_THOUSAND_SEPARATOR = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"secrets": {"()": "rft_project.connections.scrub.SecretFilter"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["secrets"]}},
    "root": {"handlers": ["console"], "level": env_str("LOG_LEVEL", "INFO")},
    # One line per request or queue message drowns what an operator looks for.
    "loggers": {
        name: {"level": "WARNING"} for name in ("django.server", "axes", "django-q", "httpx2", "openai", "azure")
    },
}
