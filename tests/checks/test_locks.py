"""Who changes users waits for whoever else does: no deadlock between an import and a run (PostgreSQL)."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import OperationalError, connection

from checks import dialect, evaluation
from checks.models import Run
from checks.services import run_checks, sync_catalogue
from tests.checks.factories import days_ago, make_user

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def an_import_is_writing() -> Iterator[None]:
    """Another connection holds the lock under which users change; we wait a moment at most."""
    sync_catalogue()
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in ("host", "port", "user", "password", "dbname")
    }
    with psycopg.connect(**parameters, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [dialect._LOCK])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        yield
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


@pytest.mark.usefixtures("an_import_is_writing")
def test_a_run_waits_to_write_its_words() -> None:
    make_user(no_mfa_since=days_ago(4000))
    with pytest.raises(OperationalError, match="lock timeout"):
        run_checks(trigger="command", slugs=["no-mfa"])


@pytest.mark.usefixtures("an_import_is_writing")
def test_the_repair_after_a_killed_run_waits_too() -> None:
    make_user(no_mfa_since=days_ago(4000))
    with pytest.raises(OperationalError, match="lock timeout"):
        run_checks(trigger="command", slugs=["no-mfa"])
    with pytest.raises(OperationalError, match="lock timeout"):
        evaluation.repair(Run.objects.get(), still_alive=lambda: None)
