"""A list in a chat, a mail or a ticket: one message a check and run, however many it is about."""

import re
from email import message_from_bytes, policy
from tempfile import SpooledTemporaryFile

import pytest
from django.utils import timezone

from checks.models import Finding, Run, User
from integrations.services import KINDS, save_integration
from integrations.targets.shared.mail.mail_kind import MailKind
from notifications import services
from notifications.models import Configuration, Delivery, Event
from notifications.planning import check_events, list_messages, loading
from notifications.rendering.batch import ItemFile
from notifications.rendering.payloads import Item
from notifications.rendering.render import UNRENDERED
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
        return check_events.plan(run, no_mfa)

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
    on = loading.event_context(event, no_mfa)
    to = loading.destination(target, "list", no_mfa, template_text=template)
    with SpooledTemporaryFile() as file:
        users = ItemFile(file)
        users.add(map(Item.of, events.users(count)), range(1, count + 1))
        assert list_messages.insert_list(on, to, users) == 1
    delivery = Delivery.objects.get()
    assert (delivery.users, delivery.batch, delivery.batches) == (count, 1, 1)
    assert delivery.finding_ranges == {"first": 1, "last": count, "ranges": [[1, count]]}
    assert (delivery.state, delivery.message_error) == ("due", "")
    assert 0 < len(bytes(delivery.body)) <= to.kind.max_bytes
    assert (b"more" in bytes(delivery.body)) == (
        count == 10_000 or (count == 50 and not isinstance(KINDS[slug], MailKind))
    )


def test_batches_are_for_systems_people_get_one_mail(mail, plan, no_mfa):
    Configuration.objects.update_or_create(defaults={"max_users_per_event": 3})
    assert plan(7) == 1
    said = text_of(Delivery.objects.get())
    assert all(f"user{number}@example.com" in said for number in range(7))
    assert "more" not in said
    assert "Part" not in said


def test_who_is_not_named_is_counted_with_a_link_to_all_of_them(mail, plan, monkeypatch):
    Configuration.objects.update_or_create(defaults={"base_url": "https://cii.example.com"})
    monkeypatch.setattr(list_messages, "MOST_NAMED", 5)
    plan(7)
    said = text_of(Delivery.objects.get())
    assert "… and 2 more; the page shows all of them." in said
    assert "Show all 7 users: https://cii.example.com/users/?check=no-mfa" in said
    assert Delivery.objects.get().users == 7


PAGE = "https://checks.example.com/users/{}/"
# What follows a user's name and address where a kind shows links.
LINKS = {
    "mail": '<a class="go" href="{url}" style="color:#0b5cad"><b>Kim</b></a><br>',
    "slack": '{{"type":"link","url":"{url}","text":"Kim (kim@example.com)"}}',
    "teams": "• [Kim (kim@example.com)]({url}) — ",
    "webex": "• [Kim (kim@example.com)]({url}) — ",
    "googlechat": '<a href=\\"{url}\\">Kim (kim@example.com)</a> — ',
    "jira": '"Kim (kim@example.com)","marks":[{{"type":"link","attrs":{{"href":"{url}"}}}}]',
    "servicenow": '[code]<a href=\\"{url}\\" target=\\"_blank\\">Kim (kim@example.com)</a>[/code]',
}


def html_or_json(delivery):
    """What is sent: of a mail its HTML, in one line; of other kinds the JSON."""
    if delivery.content_type != "message/rfc822":
        return bytes(delivery.body).decode()
    mail = message_from_bytes(bytes(delivery.body), policy=policy.default)
    return mail.get_body(("html",)).get_content()


def plan_kim(world, no_mfa, failing_user, slug, sample, audience="list"):
    """A run in which Kim newly fails, and the delivery about it."""
    target = save_integration(name="chat", kind=slug, document=document(sample)).integration
    services.subscribe(no_mfa, target, audience=audience)
    kim = failing_user("kim@example.com", manager=failing_user("boss@example.com"))
    world.run(timezone.now(), [("no-mfa", kim)])
    return kim, Delivery.objects.get()


@pytest.mark.parametrize(("slug", "sample"), CHATS, ids=CHAT_NAMES)
@pytest.mark.parametrize("public_url", ["https://checks.example.com", ""])
def test_a_users_name_links_to_the_page_of_the_console(
    world, no_mfa, failing_user, settings, slug, sample, public_url
):
    settings.PUBLIC_URL = public_url
    kim, delivery = plan_kim(world, no_mfa, failing_user, slug, sample)
    said = html_or_json(delivery)
    assert "Kim" in said
    if not public_url or slug == "pagerduty":  # an alert shows its users as text
        assert "/users/" not in said
    else:
        link = LINKS["mail" if isinstance(KINDS[slug], MailKind) else slug]
        assert link.format(url=PAGE.format(kim.pk)) in said


@pytest.mark.parametrize("audience", ["user", "manager"])
@pytest.mark.parametrize(
    ("slug", "sample"),
    [(slug, sample) for slug, sample in CHATS if "user" in KINDS[slug].audiences],
)
def test_a_message_to_a_person_has_no_link_to_the_console(
    world, no_mfa, failing_user, settings, slug, sample, audience
):
    settings.PUBLIC_URL = "https://checks.example.com"
    _, delivery = plan_kim(world, no_mfa, failing_user, slug, sample, audience)
    assert b"checks.example.com" not in bytes(delivery.body)


def test_the_contracts_event_has_no_address_of_users(world, no_mfa, failing_user, webhook, settings):
    settings.PUBLIC_URL = "https://checks.example.com"
    services.subscribe(no_mfa, webhook())
    world.run(timezone.now(), [("no-mfa", failing_user("kim@example.com"))])
    assert b"/users/" not in bytes(Delivery.objects.get().body)


def test_users_who_share_a_login_have_their_own_name_and_link(mail, world, failing_user, settings):
    settings.PUBLIC_URL = "https://checks.example.com"
    users = [failing_user(name) for name in ("kim@example.com", "kim@example.org", "lee@example.com")]
    User.objects.filter(email="kim@example.org").update(name="kim@example.com", display_name="Ann Alpha")
    User.objects.filter(email="kim@example.com").update(display_name="Bob Beta")
    world.run(timezone.now(), [("no-mfa", user) for user in users])
    said = html_or_json(Delivery.objects.get())
    bob, ann, lee = (PAGE.format(user.pk) for user in users)
    assert re.search(f"{ann}[^/]*Ann Alpha.*{bob}[^/]*Bob Beta.*{lee}", said, re.DOTALL)


def test_a_message_that_is_too_long_names_fewer(mail, plan, monkeypatch):
    monkeypatch.setattr("integrations.targets.email.kind.Email.max_bytes", 10_000)
    plan(40)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.users) == ("due", 40)
    assert len(bytes(delivery.body)) <= 10_000
    assert "more" in text_of(delivery)


def test_one_that_cannot_be_made_is_a_dead_letter_that_counts_all(mail, plan, monkeypatch):
    def die(*_):
        raise OSError("no")

    monkeypatch.setattr("integrations.targets.email.kind.Email.render", die)
    plan(2)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.users, delivery.content_type) == ("dead", 2, UNRENDERED)
