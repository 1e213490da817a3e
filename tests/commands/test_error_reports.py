"""Error pages and log lines: with DEBUG too they show no secret of the installation, of a target or of a form."""

import json
import logging
import sys

import pytest
from django.test import Client, RequestFactory
from django.urls import path
from django.utils import timezone
from django.views.debug import get_exception_reporter_class
from django_q.models import Failure

from cii_project import urls as ours
from cii_project.log_format import formatter
from tests.integrations.encodings import traces

PASSWORDS = {
    "DATABASE_URL": ("postgres://user:{}@db:5432/name", "database-password-2Ty6"),
    "REDIS_URL": ("redis://:{}@host:6379/0", "redis-password-8Wz3"),
    "OUTGOING_PROXY": ("http://robot:{}@proxy:3128", "proxy-password-9Ek4"),
    "EMAIL_HOST_PASSWORD": ("{}", "mail-password-7Qx2"),
    "METRICS_TOKEN": ("{}", "metrics-token-1Rv5-9"),
    "SECRET_KEY": ("{}", "secret-key-0123456789-0123456789-0123456789-0123456789"),
}
POSTED = "posted-s3cret-pass"


def failing(request):
    local = request.POST.get("password", "")
    deeper(local, request)


def deeper(unsealed, request):
    found = {"authorization": {"password": unsealed}}
    raise ValueError(f"cannot use {found} of {request.META.get('quoted')}")


urlpatterns = [path("fail", failing), *ours.urlpatterns]
handler500 = ours.handler500


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.ROOT_URLCONF = __name__
    for name, (form, secret) in PASSWORDS.items():
        setattr(settings, name, form.format(secret))
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "redis": settings.REDIS_URL}
    settings.DATABASES["default"]["PASSWORD"] = "database-password-2Ty6"
    settings.EMAIL_CONFIG = {"EMAIL_HOST_PASSWORD": "mail-password-7Qx2"}
    return [secret for _, secret in PASSWORDS.values()]


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_debug_s_page_shows_no_secret(settings, secrets, accept):
    settings.DEBUG = True
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "session-cookie-3Ui7-8"
    client.cookies["other"] = "another-cookie-4Op8-7"
    quoted = json.dumps([settings.DATABASE_URL, settings.OUTGOING_PROXY])
    answer = client.post("/fail", {"password": POSTED}, headers={"accept": accept}, quoted=quoted)
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "ValueError" in page
    assert "deeper" in page, "it still tells where"
    if accept == "text/html":
        assert "&lt;dict&gt;" in page, "a local variable by its type"
    hidden = [*secrets, *settings.FIELD_KEYS, POSTED, "session-cookie-3Ui7-8", "another-cookie-4Op8-7"]
    assert {secret: found for secret in hidden if (found := traces(secret, page))} == {}


def test_a_report_for_mail_or_log_shows_none_either(settings, secrets):
    request = RequestFactory().post("/fail", {"password": POSTED}, quoted=settings.REDIS_URL)
    try:
        failing(request)
    except ValueError:
        reporter = get_exception_reporter_class(request)(request, *sys.exc_info())
    for report in (reporter.get_traceback_text(), reporter.get_traceback_html()):
        assert {one: found for one in [*secrets, POSTED] if (found := traces(one, report))} == {}


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_log_line_shows_none(settings, secrets, kind):
    try:
        raise OSError(f"no connection with {settings.DATABASE_URL}")
    except OSError:
        record = logging.LogRecord(
            "x", logging.ERROR, "x.py", 1, "%s", (settings.EMAIL_HOST_PASSWORD,), sys.exc_info()
        )
    record.answer = {"quoted": [json.dumps(settings.OUTGOING_PROXY)], settings.METRICS_TOKEN: 1}
    line = formatter(kind).format(record)
    assert "OSError: no connection with postgres://" in line
    assert {one: found for one in secrets if (found := traces(one, line))} == {}


def test_the_queue_has_no_handler_of_its_own():
    """It makes one, unmasked, where the settings give it none."""
    assert not logging.getLogger("django-q").handlers


@pytest.mark.django_db
def test_the_admin_shows_a_failed_task_without_them(settings, secrets, admin_client):
    now = timezone.now()
    task = Failure.objects.create(
        id="0" * 32, name="n", func="f", started=now, stopped=now, success=False,
        result=f"cannot reach {settings.REDIS_URL} : Traceback …",
    )  # fmt: skip
    page = admin_client.get(f"/admin/django_q/failure/{task.pk}/change/").content.decode()
    assert "cannot reach redis://" in page
    assert {one: found for one in secrets if (found := traces(one, page))} == {}
