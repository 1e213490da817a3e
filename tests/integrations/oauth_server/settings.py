import os

SECRET_KEY = "of-the-authorization-server-in-tests-0123456789-0123456789"
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["OAUTH_DATABASE"]}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]
ROOT_URLCONF = "tests.integrations.oauth_server.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
OAUTH2_PROVIDER = {
    "SCOPES": {"events.write": "write events", "read": "read"},
    "DEFAULT_SCOPES": ["read"],
    "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
}
LOGGING = {"version": 1, "disable_existing_loggers": True}
