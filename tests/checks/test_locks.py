"""A run and an import do not wait for each other (PostgreSQL)."""

import psycopg
import pytest
from django.db import connection

from checks import dialect
from checks.services import run_checks, sync_catalogue
from tests.checks.factories import days_ago, make_user, open_names

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def test_a_run_opens_findings_while_an_import_is_writing() -> None:
    sync_catalogue()
    user = make_user(no_mfa_since=days_ago(4000))
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in ("host", "port", "user", "password", "dbname")
    }
    with psycopg.connect(**parameters) as other, connection.cursor() as cursor:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [dialect._LOCK])
        other.execute("UPDATE checks_user SET department = 'Sales' WHERE id = %s", [user.pk])
        cursor.execute("SET lock_timeout = '200ms'")
        try:
            assert run_checks(trigger="command", slugs=["no-mfa"]).state == "succeeded"
        finally:
            cursor.execute("RESET lock_timeout")
    assert open_names("no-mfa") == [user.name]
