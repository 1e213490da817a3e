"""A small world: checks, users who fail no-mfa, a receiver on loopback, webhooks that point at it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from checks.models import Account, Check, Finding, Run, Source, User
from checks.services import sync_catalogue
from integrations.models import Integration
from integrations.services import save_integration
from integrations.transport import http
from notifications import services
from notifications.delivery import task_requests
from notifications.models import Delivery, Event
from notifications.planning import check_events, digests
from tests.receiver import Receiver

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
        http.close_idle()


@pytest.fixture
def queued_tasks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was asked of the queue; nothing is enqueued, tests call the tasks themselves."""
    requested: list[tuple[str, ...]] = []
    monkeypatch.setattr(task_requests, "async_task", lambda task, *args: requested.append((task, *args)))
    return requested


@pytest.fixture
def no_mfa(db: None) -> Check:
    sync_catalogue()
    return Check.objects.get(slug="no-mfa")


@pytest.fixture
def failing_user(no_mfa: Check) -> Callable[..., User]:
    """Makes users who fail no-mfa, with their one account."""
    source, _ = Source.objects.get_or_create(slug="okta", defaults={"name": "Okta", "provider": "OKTA"})

    def make(name: str, **facts: object) -> User:
        user = User.objects.create(
            name=name,
            login=name,
            email=name,
            display_name=name.split("@")[0].title(),
            protected=True,
            enabled=True,
            created_at=LONG_AGO,
            no_mfa_since=LONG_AGO,
            no_mfa_latest=LONG_AGO,
            last_sign_in_known=True,
            last_sign_in_at=timezone.now() - timedelta(days=1),
            **facts,
        )
        Account.objects.create(
            source=source,
            user=user,
            login=name,
            login_key=name,
            status="active",
            mfa=False,
            mfa_enabled=False,
            created_at=LONG_AGO,
        )
        return user

    return make


@pytest.fixture
def webhook(db: None, receiver: Receiver) -> Callable[..., Integration]:
    """Makes a webhook to a path of the receiver."""

    def make(name: str = "soar", path: str = "/hook", **options: object) -> Integration:
        document = {
            "url": receiver.url(path),
            "authorization": {"type": "api_key", "name": "x-token", "value": "sesame"},
            **options.pop("document", {}),
        }
        return save_integration(name=name, kind="webhook", document=document, **options).integration

    return make


@pytest.fixture
def deliveries(no_mfa: Check) -> Callable[..., list[Delivery]]:
    """Makes due deliveries of a target, with bytes of their own, without a run."""

    def make(integration: Integration, count: int = 1, **values: object) -> list[Delivery]:
        now = timezone.now()
        event = Event.objects.create(origin="current", check_ref=no_mfa, created_at=now)
        return Delivery.objects.bulk_create(
            Delivery(
                event=event,
                integration=integration,
                batch=number,
                batches=count,
                body=b'{"number":%d}' % number,
                created_at=now,
                **{"due_at": now, **values},
            )
            for number in range(1, count + 1)
        )

    return make


# --- Runs in the small, at any time ---
@pytest.fixture
def mail(db):
    document = {"host": "127.0.0.1", "port": 2525, "security": "none", "sender": "checks@example.com"}
    return save_integration(name="mail", kind="email", document=document).integration


@pytest.fixture
def checks(no_mfa):
    return {slug: Check.objects.get(slug=slug) for slug in ("no-mfa", "password-age", "inactive-user")}


@pytest.fixture
def world(checks, failing_user, monkeypatch):
    class World:
        def at(self, moment):
            monkeypatch.setattr(timezone, "now", lambda: moment)

        def run(self, moment, opened=(), cured=(), sweep=True):
            """One run: (check, user) that begin to fail, that cease to; then what follows a run."""
            self.at(moment)
            run = Run.objects.create(state="running", trigger="command", started_at=moment, created_at=moment)
            for slug, user in opened:
                Finding.objects.create(check_ref=checks[slug], user=user, opened_at=moment, opened_run=run)
            for slug, user in cured:
                Finding.objects.filter(user=user, check_ref=checks[slug], resolved_at=None).update(
                    resolved_at=moment, resolved_run=run, resolution="cured"
                )
            for check in checks.values():
                check_events.plan(run, check)
            Run.objects.filter(pk=run.pk).update(state="succeeded")
            return self.sweep(moment) if sweep else 0

        def sweep(self, moment):
            self.at(moment)
            return digests.plan_due(moment)

    return World()


@pytest.fixture
def subscribe(checks, world):
    def make(target, audience="user", slugs=None, **options):
        world.at(MONDAY - HOUR)
        for slug in slugs or checks:
            services.subscribe(checks[slug], target, audience, **options)

    return make
