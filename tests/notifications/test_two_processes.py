"""Two worker processes on one SQLite file: each event once, and no "database is locked" anywhere."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.receiver import Receiver

PREPARE = """
import django; django.setup()
from django.core.management import call_command
from django.utils import timezone
from integrations.services import save_integration
from notifications.models import Delivery, Event
call_command("migrate", verbosity=0, skip_checks=True)
now = timezone.now()
event = Event.objects.create(origin="current", created_at=now)
for name in ("a", "b", "c"):
    target = save_integration(
        name=name, kind="webhook",
        document={"url": URL + name, "authorization": {"type": "api_key", "name": "x", "value": "y"}},
    ).integration
    Delivery.objects.bulk_create(
        Delivery(event=event, integration=target, batch=n, body=b"{}", created_at=now, due_at=now)
        for n in range(200)
    )
"""
WORK = """
import django; django.setup()
from notifications.delivery.dispatcher import Dispatcher
print(dict(Dispatcher(seconds=30, threads=16).run().attempts))
"""
COUNT = """
import django; django.setup()
from notifications.models import Attempt, Delivery
print(Delivery.objects.filter(state="delivered").count(), Attempt.objects.count())
"""


@pytest.fixture
def process(tmp_path: Path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
    }
    environment.pop("TEST_DATABASE_URL", None)

    def start(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    return start


def finished(started: subprocess.Popen[str]) -> tuple[str, str]:
    output, errors = started.communicate(timeout=90)
    assert started.returncode == 0, errors
    return output.strip(), errors


def test_two_processes_share_the_work_and_send_each_event_once(process):
    with Receiver() as receiver:
        finished(process(f"URL = {receiver.url('/')!r}\n{PREPARE}"))
        for _, errors in map(finished, [process(WORK), process(WORK)]):
            assert "locked" not in errors
            assert "database is away" not in errors
        counted = Counter(request.header("webhook-id") for request in receiver.requests)
    assert len(counted) == 600
    assert set(counted.values()) == {1}
    assert finished(process(COUNT))[0] == "600 600"
