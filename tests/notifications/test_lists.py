"""A list in a chat, a mail or a ticket: one message a check and run, however many it is about."""

from email import message_from_bytes, policy
from tempfile import SpooledTemporaryFile

import pytest
from django.utils import timezone

from checks.models import Finding, Run
from integrations.services import save_integration
from notifications import composing, lists, planning, services
from notifications.models import Configuration, Delivery, Event
from notifications.moulds import Item
from notifications.remaking import UNRENDERED
from tests.integrations.targets import events
from tests.integrations.targets.test_every_kind import CASES, NAMES, document

pytestmark = pytest.mark.django_db
CHATS = [(kind.slug, sample) for kind, sample in CASES if kind.one_message]
CHAT_NAMES = [name for name, (kind, _) in zip(NAMES, CASES, strict=True) if kind.one_message]


@pytest.fixture
def mail(no_mfa):
    sample = next(sample for kind, sample in CHATS if kind == "email")
    target = save_integration(name="mail", kind="email", document=document(sample)).integration
    services.subscribe(no_mfa, target)
    return target


@pytest.fixture
def plan(no_mfa, failing_user):
    """Plans a run that found so many new users."""

    def make(count):
        run = Run.objects.create(state="succeeded", trigger="command", started_at=timezone.now())
        for number in range(count):
            user = failing_user(f"user{number}@example.com")
            Finding.objects.create(check_ref=no_mfa, user=user, opened_at=timezone.now(), opened_run=run)
        return planning.plan(run, no_mfa)

    return make


def text_of(delivery):
    mail = message_from_bytes(bytes(delivery.body), policy=policy.default)
    return mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize(("slug", "sample"), CHATS, ids=CHAT_NAMES)
@pytest.mark.parametrize(
    ("count", "template"),
    [
        (1, None),
        (50, None),
        (10_000, None),
        (10_000, "{% for user in users %}- {{ user.login }}\n{% endfor %}"),
    ],
)
def test_one_message_within_the_kinds_limit_whose_record_counts_all(no_mfa, slug, sample, count, template):
    target = save_integration(name="chat", kind=slug, document=document(sample)).integration
    event = Event.objects.create(check_ref=no_mfa, created_at=timezone.now())
    on = composing.occasion(event, no_mfa)
    to = composing.destination(target, "list", no_mfa, template_text=template)
    with SpooledTemporaryFile() as file:
        spool = lists.Spool(file)
        spool.add([Item.of(user) for user in events.users(count)], range(1, count + 1))
        assert lists.insert(on, to, spool) == 1
    delivery = Delivery.objects.get()
    assert (delivery.users, delivery.batch, delivery.batches) == (count, 1, 1)
    assert delivery.about == {"first": 1, "last": count, "ranges": [[1, count]]}
    assert (delivery.state, delivery.message_error) == ("due", "")
    assert 0 < len(bytes(delivery.body)) <= to.kind.max_bytes
    assert (b"more" in bytes(delivery.body)) == (count == 10_000 or (count == 50 and slug != "email"))


def test_batches_are_for_systems_people_get_one_mail(mail, plan, no_mfa):
    Configuration.objects.update_or_create(defaults={"max_users_per_event": 3})
    assert plan(7) == 1
    said = text_of(Delivery.objects.get())
    assert all(f"user{number}@example.com" in said for number in range(7))
    assert "more" not in said
    assert "Part" not in said


def test_who_is_not_named_is_counted_with_a_link_to_the_check(mail, plan, monkeypatch):
    Configuration.objects.update_or_create(defaults={"base_url": "https://cii.example.com"})
    monkeypatch.setattr(lists, "MOST_NAMED", 5)
    plan(7)
    said = text_of(Delivery.objects.get())
    assert "… and 2 more; the page shows all of them." in said
    assert "https://cii.example.com/checks/no-mfa/" in said
    assert Delivery.objects.get().users == 7


def test_a_message_that_is_too_long_names_fewer(mail, plan, monkeypatch):
    monkeypatch.setattr("integrations.targets.email.Email.max_bytes", 6000)
    plan(40)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.users) == ("due", 40)
    assert len(bytes(delivery.body)) <= 6000
    assert "more" in text_of(delivery)


def test_one_that_cannot_be_made_is_a_dead_letter_that_counts_all(mail, plan, monkeypatch):
    def die(*_):
        raise OSError("no")

    monkeypatch.setattr("integrations.targets.email.Email.render", die)
    plan(2)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.users, delivery.content_type) == ("dead", 2, UNRENDERED)
