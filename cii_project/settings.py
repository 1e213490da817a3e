"""Settings, in the order of the flow. Each comes from the environment, also as NAME_FILE for secrets
that a platform mounts as files; docs/settings.md lists them all."""

import os
import re
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def read_secret_files(environment: "os._Environ[str] | dict[str, str]") -> None:
    """Give each NAME whose NAME_FILE is set the content of that file, unless NAME is set itself."""
    names = [
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "FIELD_KEYS",
        "DATA_DIR",
        "ALLOWED_NETWORKS",
        "ALLOWED_HOSTS",
        "DEBUG",
        "EMAIL_URL",
        "METRICS_TOKEN",
    ]
    for name in names:
        path = environment.get(f"{name}_FILE")
        if not path or environment.get(name):
            continue
        try:
            environment[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error}") from error


def flag(name: str) -> bool:
    """Off unless the environment says a plain yes; a word that is neither is refused, not taken for off."""
    word = env.str(name, default="").strip().casefold()
    if word in ("", "false", "no", "off", "0"):
        return False
    if word not in ("true", "yes", "on", "1"):
        raise ImproperlyConfigured(f"{name} is {word!r}; write true or false")
    return True


def number(name: str, default: float, kind: type[int] | type[float] = int) -> Any:
    """A number of more than nothing, of ``kind``."""
    text = env.str(name, default="").strip()
    try:
        value = kind(text) if text else default
    except ValueError:
        value = 0
    if not 0 < value < inf:
        raise ImproperlyConfigured(f"{name} is {text!r}; write a number over 0, such as {default}")
    return value


def spelt(name: str, default: str, pattern: str, example: str) -> str:
    """A text that matches ``pattern`` whole, or the default where there is none."""
    text = env.str(name, default="").strip() or default
    if text and not re.fullmatch(pattern, text):
        raise ImproperlyConfigured(f"{name} does not look as it should; write something like {example}")
    return text


def database(url: str) -> dict[str, Any]:
    """Django's settings of the database that a URL names."""
    if url.partition(":")[0] not in ("postgres", "postgresql", "sqlite"):
        raise ImproperlyConfigured(
            "DATABASE_URL must begin with postgres:// or sqlite:///, such as postgres://user:password@host:5432/name"
        )
    try:
        return dict(environ.Env.db_url_config(url))
    except ValueError:
        # Its text may hold a part of the password.
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read; percent-encode what is special in its user name or password"
        ) from None


read_secret_files(os.environ)
env = environ.Env()

# Where the installation keeps its own files: the SQLite database, the demo's keys and logs.
DATA_DIR = Path(env.str("DATA_DIR", default="") or BASE_DIR / ".data")

# --- Who we are -------------------------------------------------------------------------------------
PRODUCT = "identity-checks"
VERSION = "0.1.0"

DEBUG = flag("DEBUG")
# Signs sessions. Without it only commands that need no key start (see system_checks.py).
SECRET_KEY = env.str("SECRET_KEY", default="")
# Fernet keys that seal secrets in the database; the first seals, all open.
FIELD_KEYS = env.list("FIELD_KEYS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- What is stored ---------------------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", default="") or f"sqlite:///{quote(str(DATA_DIR / 'db.sqlite3'))}"
DATABASES = {"default": database(DATABASE_URL)}
_database = DATABASES["default"]
_database["CONN_MAX_AGE"] = 600
_database["CONN_HEALTH_CHECKS"] = True
if _database["ENGINE"].endswith("sqlite3"):
    # Write-ahead log: readers never wait for the writer. IMMEDIATE: a transaction that will write takes
    # its lock first and waits for it, instead of failing with "database is locked" half-way.
    _database["OPTIONS"] = {
        "timeout": 60,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; "
            "PRAGMA cache_size=-65536; PRAGMA mmap_size=268435456;"
        ),
    }
else:
    _database.setdefault("OPTIONS", {})

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

# --- How bytes leave --------------------------------------------------------------------------------
# CIDRs that targets may resolve to beside the public internet, such as 10.20.0.0/16,127.0.0.0/8.
ALLOWED_NETWORKS = env.list("ALLOWED_NETWORKS", default=[])
# oauthlib refuses to place a token on a plain http URL; here the address rule decides where http may go.
os.environ.setdefault("OAUTHLIB_INSECURE_TRANSPORT", "1")
# An explicit proxy for outgoing calls; the environment's http_proxy is never honoured.
OUTGOING_PROXY = spelt("OUTGOING_PROXY", "", r"https?://.+", "http://proxy.example.com:3128")
EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="identity-checks@localhost")

# How often a target may fail in a row before the circuit breaker pauses it.
BREAKER_FAILURES = number("BREAKER_FAILURES", 20)

# --- The bell: django-q2 ----------------------------------------------------------------------------
REDIS_URL = spelt("REDIS_URL", "", r"(rediss?|unix)://.+", "redis://host:6379/0")
# The longest that one dispatch task works, then what it may still hold in flight, then the limit at
# which django-q2 ends its worker, then the time after which a task is given out again: each longer
# than the one before (system_checks.py).
DISPATCH_SECONDS = number("DISPATCH_SECONDS", 50)
# How many requests one dispatch task keeps in flight.
DISPATCH_IN_FLIGHT = number("DISPATCH_IN_FLIGHT", 128)
LEASE_SECONDS = number("LEASE_SECONDS", 120)
# The longest wait after a first failure, in seconds; each further failure doubles it, up to the cap.
BACKOFF_BASE = number("BACKOFF_BASE", 5, float)
BACKOFF_CAP = number("BACKOFF_CAP", 3600, float)
RUN_TASK = "notifications.tasks.run_requested"
Q_CLUSTER = {
    "name": "cii",
    "workers": number("WORKERS", 4),
    "timeout": number("TASK_TIMEOUT", 3600),
    "retry": number("TASK_RETRY", 3900),
    "max_attempts": 3,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "bulk": 1,
    # As few as workers: what waits in a cluster's own queue is lost when the cluster is killed.
    "queue_limit": number("WORKERS", 4),
    "poll": 0.2,
    "label": "Queue",
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}

# --- The application --------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "crispy_forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_q",
    "integrations",
    "checks",
    "notifications",
    "cii_project.apps.ProjectConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "cii_project.console.security.ContentSecurityPolicy",
]
ROOT_URLCONF = "cii_project.urls"
WSGI_APPLICATION = "cii_project.wsgi.application"
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
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LANGUAGE_CODE = "en-us"
USE_I18N = False
STATIC_URL = "static/"
# Served from where they lie (WhiteNoise reads the finders at the start): nothing to collect.
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
CRISPY_TEMPLATE_PACK = "unfold_crispy"
CRISPY_ALLOWED_TEMPLATE_PACKS = ["unfold_crispy"]

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_COOKIES = flag("SECURE_COOKIES")
SESSION_COOKIE_SECURE = SECURE_COOKIES
CSRF_COOKIE_SECURE = SECURE_COOKIES
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Opens /metrics to a scraper; without it only to people who are signed in.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

UNFOLD = {
    "SITE_TITLE": "Identity checks",
    "SITE_HEADER": "Identity checks",
    "SITE_SYMBOL": "verified_user",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "cii_project.console.site.favicon"}],
    "STYLES": ["cii_project.console.site.stylesheet"],
    "SIDEBAR": {"navigation": "cii_project.console.site.navigation"},
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.314)",
            "100": "oklch(93% .034 272.788)",
            "200": "oklch(87% .065 274.039)",
            "300": "oklch(78.5% .115 274.713)",
            "400": "oklch(67.3% .182 276.935)",
            "500": "oklch(58.5% .233 277.117)",
            "600": "oklch(51.1% .262 276.966)",
            "700": "oklch(45.7% .24 277.023)",
            "800": "oklch(39.8% .195 277.366)",
            "900": "oklch(35.9% .144 278.697)",
            "950": "oklch(25.7% .09 281.288)",
        }
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["stderr"],
        "level": spelt("LOG_LEVEL", "INFO", "DEBUG|INFO|WARNING|ERROR|CRITICAL", "INFO"),
    },
}
