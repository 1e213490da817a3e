"""Settings, in the order of the flow. Each comes from the environment, also as NAME_FILE for secrets
that a platform mounts as files; docs/settings.md lists them all."""

import os
import re
from math import inf
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port

from cii_project import __version__

N = TypeVar("N", int, float)
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
        "DENIED_NETWORKS",
        "OUTGOING_HOSTS",
        "ALLOWED_HOSTS",
        "DEBUG",
        "EMAIL_URL",
        "METRICS_TOKEN",
        "OUTGOING_PROXY",
        "PUBLIC_URL",
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


def number(name: str, default: N) -> N:
    """A number of more than nothing, of the type of ``default``."""
    text = env.str(name, default="").strip()
    try:
        value = type(default)(text) if text else default
    except ValueError:
        value = 0
    if not 0 < value < inf:
        raise ImproperlyConfigured(f"{name} is {text!r}; write a number over 0, such as {default:.10g}")
    return value


def origin(name: str) -> str:
    """Return a URL of scheme, host and port alone, as browsers write an Origin: in lower case, without the scheme's
    own port and a slash at its end; "" if unset."""
    text = env.str(name, default="").strip().lower().removesuffix("/")
    if text and not _is_origin(text):
        # The text before an @ may be a password.
        quoted = repr(text) if "@" not in text else "a URL with a user name"
        raise ImproperlyConfigured(
            f"{name} is {quoted}; write scheme and host without a path, such as https://checks.example.com"
        )
    scheme, _, _ = text.partition("://")
    return str(text).removesuffix({"http": ":80", "https": ":443"}.get(scheme, "/"))


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = split_domain_port(parts.netloc)[0]
    return (
        parts.scheme in ("http", "https")
        and text == f"{parts.scheme}://{parts.netloc}"
        and bool(host)
        # ALLOWED_HOSTS takes ".example.com" for every name below it.
        and not host.startswith(".")
        and not parts.netloc.partition(":")[0].endswith(".")
        and port != 0
    )


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
            "DATABASE_URL must start with postgres:// or sqlite:///, such as postgres://user:password@host:5432/name"
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

# The folder of the installation's own files: the SQLite database, the demo's keys and logs.
DATA_DIR = Path(env.str("DATA_DIR", default="") or BASE_DIR / ".data")

# --- Who we are -------------------------------------------------------------------------------------
PRODUCT = "identity-checks"
VERSION = __version__

DEBUG = flag("DEBUG")
# Signs sessions. Without it only commands that need no key start (see system_checks.py).
SECRET_KEY = env.str("SECRET_KEY", default="")
# Fernet keys that seal secrets in the database; the first seals, all open.
FIELD_KEYS = env.list("FIELD_KEYS", default=[])
# The address at which people reach the pages. Hosts, CSRF origins, cookies, HSTS and links in messages follow
# from it.
PUBLIC_URL = origin("PUBLIC_URL")
IS_HTTPS = PUBLIC_URL.startswith("https://") and not DEBUG
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# CIDRs of the reverse proxies whose X-Forwarded-… headers are believed, such as 127.0.0.1/32.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
# Whether a request keeps the X-Request-Id with which one of them sends it.
TRUST_REQUEST_ID = flag("TRUST_REQUEST_ID")
if PUBLIC_URL:
    ALLOWED_HOSTS.append(split_domain_port(urlsplit(PUBLIC_URL).netloc)[0])
    CSRF_TRUSTED_ORIGINS.append(PUBLIC_URL)

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
# Networks that targets may resolve to in addition to the public internet, such as
# 10.0.0.7:8443,10.20.0.0/16:443.
ALLOWED_NETWORKS = env.list("ALLOWED_NETWORKS", default=[])
# Networks that are never called, public ones too; same syntax, and stronger than all other settings.
DENIED_NETWORKS = env.list("DENIED_NETWORKS", default=[])
# If set, the only hosts that are called, such as hooks.example.com,*.okta.com:443.
OUTGOING_HOSTS = env.list("OUTGOING_HOSTS", default=[])
# An explicit proxy for outgoing calls; the environment's http_proxy is never honoured.
# The connection to the proxy itself is not encrypted, so an https:// address would be misleading.
OUTGOING_PROXY = spelt("OUTGOING_PROXY", "", r"http://.+", "http://proxy.example.com:3128")
EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
# Django waits for a mail server without end by default, and a worker with it.
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="identity-checks@localhost")

# Failures of a target in a row after which the circuit breaker pauses it.
BREAKER_FAILURES = number("BREAKER_FAILURES", 20)

# --- The task queue: django-q2 ----------------------------------------------------------------------------
REDIS_URL = spelt("REDIS_URL", "", r"(rediss?|unix)://.+", "redis://host:6379/0")
# In seconds, each longer than the one before (system_checks.py): the longest work of one dispatch task; the
# lease of its deliveries; the limit at which django-q2 ends the worker; the time after which a task is
# started again.
DISPATCH_SECONDS = number("DISPATCH_SECONDS", 50)
# Number of requests that one dispatch task keeps in flight.
DISPATCH_IN_FLIGHT = number("DISPATCH_IN_FLIGHT", 128)
LEASE_SECONDS = number("LEASE_SECONDS", 120)
# The longest wait after a first failure, in seconds; each further failure doubles it, up to the cap.
BACKOFF_BASE = number("BACKOFF_BASE", 5.0)
BACKOFF_CAP = number("BACKOFF_CAP", 3600.0)
RUN_TASK = "notifications.tasks.run_requested"
SYNC_SWEEP_TASK = "cii_project.sync.tasks.sweep_syncs"
REPORT_TASK = "cii_project.reporting.tasks.send_due_report"
# Minutes before the daily run at which sources with a period of whole days are synced.
SYNC_LEAD_MINUTES = number("SYNC_LEAD_MINUTES", 120)
Q_CLUSTER: dict[str, Any] = {
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
    # Not Unfold's own configuration, which would put its site in the place of ours.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "crispy_forms",
    "cii_project.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "axes",
    "django_q",
    "cii_project.audit",
    "integrations",
    "checks",
    "notifications",
    "cii_project.apps.ProjectConfig",
]
MIDDLEWARE = [
    "cii_project.web.request_id.RequestId",  # first: every line of a request's log carries the id
    "cii_project.web.proxy.TrustedProxyHeaders",
    "cii_project.web.head.HeadWithoutBody",
    "cii_project.console.core.security.ContentSecurityPolicy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Below WhiteNoise: static files may be cached, pages may not.
    "cii_project.console.core.security.NoStore",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "cii_project.web.bodies.BodyLimit",  # before CSRF, which reads the body
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "cii_project.web.request_actor.RequestActor",
    "cii_project.web.sessions.SessionLimits",
    "cii_project.console.core.viewer_zone.ViewerZone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "cii_project.console.core.unstorable_values.UnstorableValues",
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
# The page after a sign-in that named no page, or a page that is refused.
LOGIN_REDIRECT_URL = "console:dashboard"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "cii_project.console.sign_in.role_backend.RoleBackend",
]

# --- Delay after failed sign-ins: django-axes (cii_project/console/sign_in/limits.py) -------------
# Failures for one account, or from one address, after which sign-in is refused; and for how many seconds.
SIGN_IN_FAILURES = number("SIGN_IN_FAILURES", 10)
SIGN_IN_DELAY = number("SIGN_IN_DELAY", 900)
AXES_HANDLER = "cii_project.console.sign_in.limits.FailureCounter"
AXES_USERNAME_CALLABLE = "cii_project.console.sign_in.limits.account_key"
AXES_LOCKOUT_PARAMETERS = "cii_project.console.sign_in.limits.counted_by"
AXES_CLIENT_IP_CALLABLE = "cii_project.console.sign_in.limits.counted_address"
AXES_COOLOFF_TIME = "cii_project.console.sign_in.limits.delay"
AXES_FAILURE_LIMIT = "cii_project.console.sign_in.limits.failure_limit"
AXES_LOCKOUT_CALLABLE = "cii_project.console.sign_in.limits.locked_out"
# An attempt during a delay must not extend it: otherwise an attacker could lock a member out permanently.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
# The audit trail records successes; axes stores nothing but the failures that still count.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]
LANGUAGE_CODE = "en-us"
USE_I18N = False
STATIC_URL = "static/"
# Served from where they lie (WhiteNoise reads the finders at the start): nothing to collect.
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "integrations.logos.LogoFinder",
]
WHITENOISE_USE_FINDERS = True
CRISPY_TEMPLATE_PACK = "unfold_crispy"
CRISPY_ALLOWED_TEMPLATE_PACKS = ["unfold_crispy"]

SECURE_COOKIES = IS_HTTPS or flag("SECURE_COOKIES")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = SECURE_COOKIES
CSRF_COOKIE_SECURE = SECURE_COOKIES
CSRF_FAILURE_VIEW = "cii_project.console.core.error_pages.csrf_failure"
if SECURE_COOKIES:
    # A browser takes such a name only over HTTPS, for this host alone: no neighbouring host can set it.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
# A message may name a user or a target; in the session it stays on the server.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# A session ends this long after the last request, and this long after the sign-in.
SESSION_IDLE_SECONDS = 60 * number("SESSION_IDLE_MINUTES", 30)
SESSION_ABSOLUTE_SECONDS = 3600 * number("SESSION_HOURS", 12)
SESSION_COOKIE_AGE = SESSION_IDLE_SECONDS

if IS_HTTPS:
    SECURE_SSL_REDIRECT = True
    SECURE_SSL_HOST = urlsplit(PUBLIC_URL).netloc
    # A load balancer asks for it on the inner network, without TLS; it has nothing secret.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
    SECURE_HSTS_SECONDS = number("HSTS_SECONDS", 365 * 24 * 3600)
    # web/proxy.py removes the header from requests that do not come from TRUSTED_PROXIES.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Both are decisions about a whole domain, which is more than this application's host.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Opens /metrics to a scraper; without it only to people who are signed in.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

UNFOLD = {
    "SITE_TITLE": "Identity checks",
    "SITE_HEADER": "Identity checks",
    "SITE_SYMBOL": "verified_user",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "cii_project.console.core.site.favicon"}
    ],
    "STYLES": ["cii_project.console.core.site.stylesheet"],
    "SCRIPTS": ["cii_project.console.core.site.alpine"],
    "SIDEBAR": {"navigation": "cii_project.console.core.site.navigation"},
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

DEFAULT_EXCEPTION_REPORTER = "cii_project.web.error_reports.ErrorReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "cii_project.web.error_reports.ErrorFilter"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "cii_project.log_format.formatter",
            "kind": spelt("LOG_FORMAT", "text", "text|json", "json"),
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # cii_project.sign_in logs the same, with the name quoted.
    "loggers": {"axes": {"level": "ERROR"}},
    "root": {
        "handlers": ["stderr"],
        "level": spelt("LOG_LEVEL", "INFO", "DEBUG|INFO|WARNING|ERROR|CRITICAL", "INFO"),
    },
}
