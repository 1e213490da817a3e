"""The settings of the tests: SQLite unless TEST_DATABASE_URL says otherwise, loopback allowed."""

import os
import tempfile

os.environ.setdefault("SECRET_KEY", "test-only-secret-key-of-fifty-characters-0123456789")
os.environ.setdefault("FIELD_KEYS", "0gyWtnK3n2sLJfl5mXnhXgZ6n0j2C6pJ9m8tVw1k0bQ=")
os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="identity-checks-test-"))
os.environ.setdefault("ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
if url := os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = url
if url := os.environ.get("TEST_REDIS_URL"):
    os.environ["REDIS_URL"] = url

from cii_project.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
