"""When the database cannot be written because its disk is full: the page says what to do, and so does /healthz."""

import shutil
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from cii_project.audit.models import AuditEntry
from cii_project.web.server_errors import is_disk_full

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """SQLite refuses to grow, as on a full disk, and has no free page left."""
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL's disk cannot be filled from here.")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        (pages,) = cursor.fetchone()
        cursor.execute(f"PRAGMA max_page_count = {pages + 1}")
    size = 2000
    while size > 1:
        try:
            AuditEntry.objects.create(at=timezone.now(), actor_kind="system", action="act", text="x" * size)
        except OperationalError as error:
            if not is_disk_full(error):
                raise
            size //= 2
    yield
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")


def test_a_sign_in_answers_503_and_says_what_to_do(full_disk_after_member: Client):
    answer = full_disk_after_member.post("/admin/login/", {"username": "ann", "password": "a long password"})
    assert answer.status_code == 503
    assert "must free disk space" in answer.content.decode()


@pytest.fixture
def full_disk_after_member(request: pytest.FixtureRequest) -> Client:
    User.objects.create_superuser("ann", password="a long password")
    request.getfixturevalue("full_disk")
    return Client(raise_request_exception=False)


def test_another_error_answers_500_with_the_id_of_the_request(settings):
    settings.ROOT_URLCONF = "tests.commands.test_error_reports"
    answer = Client(raise_request_exception=False).get("/fail")
    assert answer.status_code == 500
    assert f"request_id={answer.headers['X-Request-Id']}" in answer.content.decode()


@pytest.mark.parametrize(
    ("free", "said"), [(10**6, "the disk is nearly full: free disk space"), (10**9, "ok")]
)
def test_health_says_that_the_disk_is_nearly_full_before_it_is(monkeypatch, tmp_path, client, free, said):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL's disk is on its own host.")
    file = tmp_path / "db.sqlite3"
    file.touch()
    monkeypatch.setitem(connection.settings_dict, "NAME", str(file))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    answer = client.get("/healthz")
    assert answer.json()["database"] == said
    if said != "ok":
        assert answer.status_code == 503


def test_a_database_without_a_file_here_is_ok(client):
    """A database in memory, or PostgreSQL's."""
    assert client.get("/healthz").json()["database"] == "ok"
