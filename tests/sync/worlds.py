"""A connected Okta organization on loopback, and short ways to sync it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from checks.models import Account, Source
from checks.services import add_source
from cii_project.sync.driver import advance
from cii_project.sync.requests import start_sync
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_factor, okta_user
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import SourceConnection, Sync
from integrations.services import save_connection

# No test waits for a pace: the limits that the scripted answers name are high.
MOST_SLICES = 200


def small_okta(**values: Any) -> ScriptedOkta:
    """Four users: Ann with a security key and a role, Bob with SMS, Cem without factors, Dee deprovisioned."""
    return ScriptedOkta(
        users={
            each["id"]: each
            for each in (
                okta_user(
                    "00u1",
                    "ann.ames@example.com",
                    profile={"department": "Finance", "employeeNumber": "1001"},
                ),
                okta_user("00u2", "bob.bell@example.com", profile={"mobilePhone": "+15550100"}),
                okta_user("00u3", "cem.cole@example.com", lastLogin=None),
                okta_user("00u4", "dee.dorn@example.com", status="DEPROVISIONED"),
            )
        },
        factors={
            "00u1": [okta_factor("webauthn", credentialId="key-of-ann")],
            "00u2": [okta_factor("sms", phoneNumber="+15550100"), okta_factor("push", status="NOT_SETUP")],
        },
        roles={"00u1": ["SUPER_ADMIN"]},
        groups={"00g0": ("Everyone", ["00u1", "00u2", "00u3"]), "00g1": ("Payroll", ["00u1", "00u2"])},
        **values,
    )


@contextmanager
def serving(okta: ScriptedOkta, **options: Any) -> Iterator[ScriptedServer]:
    with ScriptedServer(okta, **options) as server:
        yield server


def connect(server: ScriptedServer, slug: str = "okta", **document: Any) -> SourceConnection:
    """The organization as a source with an API token."""
    if not Source.objects.filter(slug=slug).exists():
        add_source(slug=slug, name="Okta", kind="identity", provider="OKTA")
    provider: Any = server.provider
    settings = {
        "url": server.url,
        "authorization": "api_token",
        "api_token": provider.token,
        "passes": {"groups": True, "applications": False, "changes": False},
    }
    connection, _ = save_connection(slug=slug, kind="okta", document=settings | document)
    return connection


def sync(connection: SourceConnection) -> Sync:
    """A whole sync, as the queue's tasks would do it one after the other."""
    return work(start_sync(connection, Sync.Trigger.MEMBER))


def wait_over(connection: SourceConnection) -> None:
    """As if the time had passed that a limit asks to wait: a test does not spend it."""
    connection.rate_buckets.update(next_at=0, paused_until=0)


def work(started: Sync) -> Sync:
    for _ in range(MOST_SLICES):
        if not advance(started.pk, seconds=5, sleep=lambda seconds: wait_over(started.connection)):
            started.refresh_from_db()
            if started.state != Sync.State.RUNNING:
                return started
            # A longer wait.
            Sync.objects.filter(pk=started.pk).update(due_at=started.created_at)
            wait_over(started.connection)
    raise AssertionError("the sync came to no end")


def account(login: str) -> Account:
    return Account.objects.get(login=login)
