"""What the tests of these pages start from: people of each role, users who fail, targets, deliveries."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group, User as Person
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checks.models import Account, Check, Run, Source, User
from checks.services import run_checks, sync_catalogue
from cii_project.audit.models import AuditEntry
from integrations.models import Integration
from integrations.services import save_integration
from notifications.models import Attempt, Delivery, Event

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HTMX = {"HX-Request": "true"}


def person(role: str, name: str = "") -> Person:
    made = Person.objects.create_user(name or role.lower() or "nobody")
    if role:
        made.groups.add(Group.objects.get_or_create(name=role)[0])
    return made


def client_of(role: str) -> Client:
    client = Client()
    client.force_login(person(role))
    return client


def check_of(slug: str = "no-mfa") -> Check:
    sync_catalogue()
    return Check.objects.get(slug=slug)


def fail(name: str, **facts: Any) -> User:
    """A user who fails no-mfa, and nothing else."""
    source, _ = Source.objects.get_or_create(slug="okta", defaults={"name": "Okta", "provider": "OKTA"})
    user = User.objects.create(
        **{
            "name": name,
            "login": name,
            "email": name,
            "protected": True,
            "enabled": True,
            "created_at": LONG_AGO,
            "no_mfa_since": LONG_AGO,
            "no_mfa_latest": LONG_AGO,
            "last_sign_in_known": True,
            "last_sign_in_at": timezone.now(),
            **facts,
        }
    )
    Account.objects.create(
        source=source,
        user=user,
        login=name,
        login_key=name.casefold(),
        status="active",
        mfa=False,
        mfa_enabled=False,
        created_at=LONG_AGO,
    )
    return user


def failing_run(*names: str, slugs: tuple[str, ...] = ("no-mfa",), **facts: Any) -> Run:
    """Users who fail no-mfa, found by a run."""
    check_of()
    for name in names:
        fail(name, **facts)
    return run_checks(trigger=Run.Trigger.COMMAND, slugs=slugs)


def webhook(name: str = "soar", url: str = "http://127.0.0.1:9/hook", **document: Any) -> Integration:
    given = {"url": url, "authorization": {"type": "basic", "username": "cii", "password": "s3cret-pass"}}
    return save_integration(name=name, kind="webhook", document={**given, **document}).integration


def delivered(integration: Integration, slug: str = "no-mfa", **values: Any) -> Delivery:
    """One delivery of a test event, as ``values`` say."""
    now = values.pop("created_at", timezone.now())
    event = values.pop("event", None) or Event.objects.create(
        origin=values.pop("origin", "current"), check_ref=check_of(slug), created_at=now
    )
    return Delivery.objects.create(
        **{
            "id": uuid4(),
            "event": event,
            "integration": integration,
            "state": "delivered",
            "created_at": now,
            "body": b'{"detail":{"checkId":"no-mfa"}}',
            "users": 1,
            **values,
        }
    )


def attempted(delivery: Delivery, number: int = 1, **values: Any) -> Attempt:
    return Attempt.objects.create(
        **{
            "delivery": delivery,
            "number": number,
            "started_at": timezone.now(),
            "outcome": "retryable",
            "status_code": 503,
            "reason": "The receiver answered 503 Service Unavailable.",
            "latency_ms": 41,
            **values,
        }
    )


def text(response: Any) -> str:
    """The page's HTML, without the marks where a name may break."""
    return str(response.content.decode()).replace("<wbr>", "")


def said() -> list[str]:
    """What members have done beside signing in, oldest first."""
    entries = AuditEntry.objects.filter(actor_kind="member").exclude(action="sign-in")
    return list(entries.order_by("id").values_list("text", flat=True))


def queries(client: Client, url: str) -> int:
    """How many queries the page takes, its session's included."""
    client.get(url)  # warm the caches of content types and templates
    with CaptureQueriesContext(connection) as taken:
        assert client.get(url).status_code == 200
    return len(taken)


def beside(page: str, field: str) -> str:
    """The error that stands in the block of a field, and that its control names as its description."""
    block = re.search(rf'<div id="div_id_{field}".*?(?=<div id="div_id_|</fieldset>|</form>)', page, re.S)
    assert block, f"no field {field}"
    found = re.search(r'<ul class="errorlist" id="([^"]*)">\s*<li[^>]*>(.*?)</li>', block[0], re.S)
    if not found:
        return ""
    described = re.search(r'aria-describedby="([^"]*)"', block[0])
    assert described, f"{field} has no description"
    assert found[1] in described[1].split()
    return found[2]
