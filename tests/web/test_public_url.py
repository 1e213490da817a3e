"""PUBLIC_URL: what follows from it, and that Django's own deployment checks find nothing to say."""

import json
import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from cii_project.settings import origin
from tests.web.live import ROOT

NAMES = [
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "SESSION_COOKIE_NAME",
    "CSRF_COOKIE_NAME",
    "SESSION_COOKIE_SECURE",
    "CSRF_COOKIE_SECURE",
    "SECURE_SSL_REDIRECT",
    "SECURE_HSTS_SECONDS",
    "SECURE_PROXY_SSL_HEADER",
]
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
HTTPS = {
    "ALLOWED_HOSTS": [*LOOPBACK, "checks.example.com"],
    "CSRF_TRUSTED_ORIGINS": ["https://checks.example.com"],
    "SESSION_COOKIE_NAME": "__Host-sessionid",
    "CSRF_COOKIE_NAME": "__Host-csrftoken",
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31536000,
    "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
}
PLAIN = {
    "ALLOWED_HOSTS": LOOPBACK,
    "CSRF_TRUSTED_ORIGINS": [],
    "SESSION_COOKIE_NAME": "sessionid",
    "CSRF_COOKIE_NAME": "csrftoken",
    "SESSION_COOKIE_SECURE": False,
    "CSRF_COOKIE_SECURE": False,
    "SECURE_SSL_REDIRECT": False,
    "SECURE_HSTS_SECONDS": 0,
    "SECURE_PROXY_SSL_HEADER": None,
}


def run(*command, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "TEST_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**kept, "DJANGO_SETTINGS_MODULE": "cii_project.settings", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def read(**variables):
    code = f"import json; from django.conf import settings; print(json.dumps({{n: getattr(settings, n) for n in {NAMES}}}))"
    done = run("-c", code, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_https_address_makes_everything_secure():
    assert read(PUBLIC_URL="https://checks.example.com/") == HTTPS


def test_a_port_belongs_to_the_origin_and_other_hosts_stay():
    found = read(PUBLIC_URL="https://Checks.example.com:8443", ALLOWED_HOSTS="old.example.com")
    assert found["ALLOWED_HOSTS"] == ["old.example.com", "checks.example.com"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://checks.example.com:8443"]


@pytest.mark.parametrize("text", ["https://checks.example.com:443", "http://[::1]:80/"])
def test_the_port_of_the_scheme_is_left_out_as_browsers_do(monkeypatch, text):
    monkeypatch.setenv("PUBLIC_URL", text)
    assert origin("PUBLIC_URL") == text.removesuffix("/").rpartition(":")[0]


@pytest.mark.parametrize("variables", [{}, {"PUBLIC_URL": ""}])
def test_without_it_nothing_changes(variables):
    assert read(**variables) == PLAIN


def test_a_plain_address_names_the_host_and_secures_nothing():
    found = read(PUBLIC_URL="http://checks.example.com")
    assert found["ALLOWED_HOSTS"] == [*LOOPBACK, "checks.example.com"]
    assert {**found, "ALLOWED_HOSTS": LOOPBACK, "CSRF_TRUSTED_ORIGINS": []} == PLAIN


def test_debug_on_a_developers_machine_stays_reachable_without_tls():
    found = read(PUBLIC_URL="https://checks.example.com", DEBUG="true")
    assert not found["SECURE_SSL_REDIRECT"]
    assert not found["SESSION_COOKIE_SECURE"]


def test_secure_cookies_alone_still_secures_the_cookies():
    found = read(SECURE_COOKIES="true")
    names = [name for name in NAMES if "COOKIE" in name]
    assert {name: found[name] for name in names} == {name: HTTPS[name] for name in names}
    assert not found["SECURE_SSL_REDIRECT"]


@pytest.mark.parametrize(
    "text",
    [
        "checks.example.com",
        "ftp://checks.example.com",
        "https://",
        "https://checks.example.com/path",
        "https://user@checks.example.com",
        "https://checks.example.com?x=1",
        "https://checks.example.com#x",
        "https://checks example.com",
        "https://checks.example.com:port",
        "https://a,b",
        "https://[::1",
        "https://checks.example.com:99999",
        "https://checks.example.com:0",
        "https://.example.com",
        "https://checks.example.com.",
    ],
)
def test_what_is_no_origin_is_refused_with_an_example(monkeypatch, text):
    monkeypatch.setenv("PUBLIC_URL", text)
    with pytest.raises(
        ImproperlyConfigured, match=r"PUBLIC_URL is .*; write scheme and host without a path, such as"
    ):
        origin("PUBLIC_URL")


def test_a_password_in_it_is_not_repeated(monkeypatch):
    monkeypatch.setenv("PUBLIC_URL", "https://kim:url-password@checks.example.com")
    with pytest.raises(ImproperlyConfigured, match="PUBLIC_URL is a URL with a user name; write") as refused:
        origin("PUBLIC_URL")
    assert "url-password" not in str(refused.value)


PRODUCTION = {
    "SECRET_KEY": "kT7#qLz9@vXw2!mRb5$nPc8^dYf4&gHj6*sKu3(tWe1)aQo0-zZ",
    "PUBLIC_URL": "https://checks.example.com",
    "TRUSTED_PROXIES": "127.0.0.1/32",
    "ALLOWED_NETWORKS": "",
}


def test_the_deployment_checks_find_nothing(tmp_path):
    done = run(
        "manage.py", "check", "--deploy", "--fail-level", "WARNING", DATA_DIR=str(tmp_path), **PRODUCTION
    )
    assert done.returncode == 0, done.stderr


def test_https_without_a_trusted_proxy_is_warned_of(tmp_path):
    done = run("manage.py", "check", DATA_DIR=str(tmp_path), **{**PRODUCTION, "TRUSTED_PROXIES": ""})
    assert "each page would redirect to itself" in done.stderr
    assert "TRUSTED_PROXIES" in done.stderr
