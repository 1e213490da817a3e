"""Messages to the people concerned: one a person and run, reminders, notes that it is over, escalation."""

import json
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes, policy

import pytest

from checks.models import Finding
from integrations.services import save_integration
from notifications import digests, mentions, services
from notifications.models import Configuration, Delivery, Event, Subscription
from notifications.schema import validator
from tests.notifications.conftest import HOUR, MONDAY

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def mails(**more):
    """(to, subject, text) of each, in order."""
    found = []
    for delivery in Delivery.objects.filter(body__isnull=False, **more).order_by("created_at", "batch"):
        made = message_from_bytes(bytes(delivery.body), policy=policy.SMTP)
        text = made.get_body(("plain",)).get_content().replace("\r\n", "\n")
        found.append((made["To"].addresses[0].addr_spec, str(made["Subject"]), text))
    return found


def events(**more):
    made = [
        json.loads(bytes(delivery.body))
        for delivery in Delivery.objects.filter(body__isnull=False, **more).order_by("created_at", "batch")
    ]
    for event in made:
        validator(event["detail-type"]).validate(event)
    return made


# --- One message a person ---------------------------------------------------------------------------
def test_who_fails_three_checks_gets_one_mail_that_lists_them(world, subscribe, mail, failing_user):
    subscribe(mail)
    kim, lee = failing_user("kim@example.com"), failing_user("lee@example.com")
    opened = [("no-mfa", kim), ("password-age", kim), ("inactive-user", kim), ("password-age", lee)]
    assert world.run(MONDAY, opened) == 2
    (to, subject, text), (other, other_subject, other_text) = mails()
    assert to == "kim@example.com"
    assert subject == "[critical] 3 identity checks: kim@example.com"
    assert text.index("No MFA Configured (critical)") < text.index("(medium)") < text.index("(low)")
    assert "your account kim@example.com fails:" in text
    assert other == "lee@example.com"
    assert "3 identity checks" not in other_subject
    assert "your account lee@example.com fails the check" in other_text, "one alone has the check's message"
    assert [delivery.users for delivery in Delivery.objects.all()] == [1, 1]


def test_nobody_is_written_to_before_the_run_has_ended(world, subscribe, mail, failing_user):
    subscribe(mail)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))], sweep=False)
    assert not Delivery.objects.exists()
    assert world.sweep(MONDAY + MINUTE) == 1, "a run that died before this is made up for by the sweep"
    assert world.sweep(MONDAY + 2 * MINUTE) == 0
    assert Event.objects.get().origin == "people"


def test_a_manager_gets_one_mail_about_all_reports(world, subscribe, mail, failing_user):
    subscribe(mail, "manager")
    boss = failing_user("boss@example.com")
    kim, lee = failing_user("kim@example.com", manager=boss), failing_user("lee@example.com", manager=boss)
    alone = failing_user("alone@example.com")
    opened = [("no-mfa", kim), ("no-mfa", lee), ("password-age", lee), ("no-mfa", alone)]
    assert world.run(MONDAY, opened) == 2
    ((to, subject, text),) = mails()
    assert to == "boss@example.com"
    assert subject == "[critical] 2 identity checks"
    assert "No MFA Configured (critical): kim@example.com, lee@example.com" in text
    assert Delivery.objects.get(recipient=boss).users == 2
    assert Delivery.objects.get(state="skipped").reason == "The manager of alone@example.com is unknown."


def test_who_fails_and_is_a_manager_gets_one_mail_in_both_roles(world, subscribe, mail, failing_user, checks):
    services.save_message(checks["no-mfa"], "email", "Enrol, {{ user.login }}!", audience="user")
    services.save_message(checks["no-mfa"], "email", "Ask {{ user.login }} to enrol.", audience="manager")
    subscribe(mail)
    subscribe(mail, "manager")
    boss = failing_user("boss@example.com")
    kim = failing_user("kim@example.com", manager=boss)
    opened = [("no-mfa", boss), ("password-age", boss), ("no-mfa", kim), ("password-age", kim)]
    assert world.run(MONDAY, opened) == 4, "two mails, and two records of a manager that is unknown"
    (to, subject, text), (other, _, other_text) = sorted(mails())
    assert (to, other) == ("boss@example.com", "kim@example.com")
    assert subject == "[critical] 2 identity checks"
    parts = (
        "your account boss@example.com fails:",
        "Enrol, boss@example.com!",
        "Of the accounts that you are the manager of, these fail:",
        "Ask kim@example.com to enrol.",
        "Old Password (low): kim@example.com",
    )
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "manager" not in other_text
    letter = Delivery.objects.get(recipient=boss)
    assert (letter.audience, letter.users) == ("user", 2)
    spoken_of = Finding.objects.filter(user__in=[boss, kim])
    assert [one.pk for one in spoken_of if mentions.among(letter.about, one.pk)] == [
        one.pk for one in spoken_of
    ]


def test_who_is_their_own_manager_is_told_once(world, subscribe, mail, failing_user):
    subscribe(mail)
    subscribe(mail, "manager")
    boss = failing_user("boss@example.com")
    boss.manager = boss
    boss.save()
    assert world.run(MONDAY, [("no-mfa", boss), ("password-age", boss)]) == 1
    ((_, _, text),) = mails()
    assert text.count("No MFA Configured") == text.count("Old Password") == 1
    assert "you are the manager of" not in text


def test_a_webhook_gets_an_event_for_each_role(world, subscribe, webhook, failing_user):
    subscribe(webhook())
    subscribe(webhook("second", "/second"), "manager")
    boss = failing_user("boss@example.com")
    kim = failing_user("kim@example.com", manager=boss)
    world.run(MONDAY, [("no-mfa", boss), ("no-mfa", kim)])
    told = [(each["detail"]["recipient"]["kind"], each["detail"]["recipient"]["email"]) for each in events()]
    assert sorted(told) == [
        ("manager", "boss@example.com"), ("user", "boss@example.com"), ("user", "kim@example.com"),
    ]  # fmt: skip


def test_who_has_no_address_is_a_recorded_skip(world, subscribe, mail, failing_user):
    subscribe(mail, remind_days=1)
    kim = failing_user("kim")
    kim.email = ""
    kim.save()
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    skipped = Delivery.objects.get()
    assert (skipped.state, skipped.recipient, skipped.users) == ("skipped", kim, 1)
    assert skipped.reason == "kim has no e-mail address to be found by."
    assert world.sweep(MONDAY + 2 * DAY) == 0, "once is enough"


def test_a_customised_message_stands_in_the_mail_of_several(world, subscribe, mail, failing_user, checks):
    services.save_message(checks["no-mfa"], "email", "Enrol, {{ user.display_name }}!", audience="user")
    subscribe(mail)
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    ((_, _, text),) = mails()
    assert "Enrol, Kim!" in text
    assert "Password" in text


def test_a_webhook_gets_the_contracts_event_for_each_user_and_check(world, subscribe, webhook, failing_user):
    subscribe(webhook())
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    assert sorted(event["detail"]["checkId"] for event in events()) == ["no-mfa", "password-age"]


def test_a_daily_letter_collects_the_runs_of_a_day(world, subscribe, mail, failing_user):
    subscribe(mail, cadence="daily")
    kim = failing_user("kim@example.com")
    assert world.run(MONDAY - HOUR / 2, [("no-mfa", kim)]) == 0
    assert world.run(MONDAY + HOUR, [("password-age", kim)]) == 1
    assert mails()[0][1] == "[critical] 2 identity checks: kim@example.com"


def test_the_filter_holds_for_letters_and_who_is_left_out_is_on_record(world, subscribe, mail, failing_user):
    subscribe(mail, filter={"departments": ["Sales"], "severity": "medium"})
    kim = failing_user("kim@example.com", department="Sales")
    lee = failing_user("lee@example.com", department="Legal")
    world.run(MONDAY, [("no-mfa", kim), ("no-mfa", lee), ("password-age", kim)])
    assert [(to, subject) for to, subject, _ in mails()] == [
        ("kim@example.com", "[critical] No MFA Configured: kim@example.com")
    ]
    reasons = Delivery.objects.filter(state="skipped").order_by("batch").values_list("users", "reason")
    assert sorted(reasons) == [
        (1, "No MFA Configured: Left out by the filter. Only severity medium or worse, department Sales."),
        (
            1,
            "Old Password: Left out by the filter. The check is low; this target is told from medium on.",
        ),
    ]


# --- Quiet hours ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("begin", "end", "due"),
    [
        (None, None, MONDAY),
        (time(22), time(7), MONDAY + HOUR),
        (time(5), time(6), MONDAY),
        (time(6), time(8, 30), MONDAY + 2.5 * HOUR),
        (time(7), time(5), MONDAY),
    ],
)
@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_in_quiet_hours_people_are_written_to_when_they_end(
    world, subscribe, mail, webhook, failing_user, begin, end, due, kind
):
    Configuration.load()
    Configuration.objects.update(quiet_from=begin, quiet_until=end)
    target = mail if kind == "mail" else webhook()
    subscribe(target)
    subscribe(webhook("soc", "/soc"), "list")
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))])
    assert Delivery.objects.get(audience="user").due_at == due
    assert Delivery.objects.get(audience="list").due_at == MONDAY, (
        "a list is for a system, which sleeps never"
    )


def test_quiet_hours_are_of_the_installations_zone_and_may_span_midnight(db):
    from notifications.quiet import awake_at

    berlin = Configuration(quiet_from=time(20), quiet_until=time(7), run_zone="Europe/Berlin")
    assert awake_at(datetime(2026, 3, 2, 19, 30, tzinfo=UTC), berlin) == datetime(2026, 3, 3, 6, tzinfo=UTC)
    assert awake_at(datetime(2026, 3, 3, 5, 59, tzinfo=UTC), berlin) == datetime(2026, 3, 3, 6, tzinfo=UTC)
    assert awake_at(datetime(2026, 3, 3, 6, 0, tzinfo=UTC), berlin) == datetime(2026, 3, 3, 6, tzinfo=UTC)


# --- Reminders --------------------------------------------------------------------------------------
def test_who_still_fails_is_reminded_at_most_once_in_so_many_days_until_cured(
    world, subscribe, mail, failing_user
):
    subscribe(mail, remind_days=7, slugs=["no-mfa", "password-age"])
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    for day in range(1, 22):
        cured = {9: [("password-age", kim)], 16: [("no-mfa", kim)]}.get(day, [])
        world.run(MONDAY + day * DAY + MINUTE, cured=cured)
    assert [subject for _, subject, _ in mails()] == [
        "[critical] 2 identity checks: kim@example.com",
        "[critical] Reminder: 2 identity checks: kim@example.com",
        "[critical] Reminder: No MFA Configured: kim@example.com",
    ]
    sent = [delivery.created_at for delivery in Delivery.objects.order_by("created_at")]
    assert [(moment - MONDAY).days for moment in sent] == [0, 7, 14]


def test_a_new_failure_and_a_due_reminder_are_one_mail(world, subscribe, mail, failing_user):
    subscribe(mail, remind_days=2)
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim)])
    world.run(MONDAY + 2 * DAY, [("password-age", kim)])
    (_, (_, subject, text)) = mails()
    assert subject == "[critical] 2 identity checks: kim@example.com"
    intro = "Your account kim@example.com still fails, as we wrote before:"
    assert text.index("Password") < text.index(intro) < text.index("No MFA")


def test_a_manager_who_hears_of_others_each_day_is_reminded_all_the_same(
    world, subscribe, mail, failing_user
):
    subscribe(mail, "manager", slugs=["no-mfa"], remind_days=3)
    boss = failing_user("boss@example.com")
    for day in range(7):
        user = failing_user(f"user{day}@example.com", manager=boss)
        world.run(MONDAY + day * DAY, [("no-mfa", user)])
    reminded = ["still fail" in text for _, _, text in mails()]
    assert reminded == [False, False, False, True, False, False, True]
    assert "user0@example.com, user1@example.com, user2@example.com" in mails()[3][2]


def test_each_number_of_days_counts_by_itself(world, subscribe, mail, failing_user):
    subscribe(mail, slugs=["no-mfa"], remind_days=2)
    subscribe(mail, slugs=["password-age"], remind_days=5)
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    for day in range(1, 11):
        world.sweep(MONDAY + day * DAY)
    told = [
        ((sent.created_at - MONDAY).days, subject.partition(": ")[2])
        for sent, (_, subject, _) in zip(Delivery.objects.order_by("created_at"), mails(), strict=True)
    ][1:]
    mfa, password = "No MFA Configured: kim@example.com", "Old Password: kim@example.com"
    both = "2 identity checks: kim@example.com"
    assert told == [(2, mfa), (4, mfa), (5, password), (6, mfa), (8, mfa), (10, both)]


def test_a_manager_who_is_new_hears_at_the_next_daily_time(world, subscribe, mail, failing_user):
    subscribe(mail, "manager", slugs=["no-mfa"], remind_days=7)
    first, second = failing_user("first@example.com"), failing_user("second@example.com")
    kim = failing_user("kim@example.com", manager=first)
    world.run(MONDAY, [("no-mfa", kim)])
    kim.manager = second
    kim.save()
    assert world.sweep(MONDAY + DAY) == 1
    assert mails()[-1][0] == "second@example.com"
    assert world.sweep(MONDAY + 2 * DAY) == 0


def test_without_a_number_of_days_nobody_is_reminded(world, subscribe, mail, failing_user):
    subscribe(mail)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))])
    assert sum(world.sweep(MONDAY + day * DAY) for day in range(1, 40)) == 0


def test_after_days_without_a_cluster_there_is_one_reminder(world, subscribe, mail, failing_user):
    subscribe(mail, remind_days=2)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))])
    assert world.sweep(MONDAY + 9 * DAY) == 1
    assert world.sweep(MONDAY + 9 * DAY + HOUR) == 0
    assert world.sweep(MONDAY + 10 * DAY) == 0
    assert world.sweep(MONDAY + 11 * DAY) == 1


def test_a_webhook_is_reminded_by_user_and_check_and_the_event_says_so(
    world, subscribe, webhook, failing_user
):
    subscribe(webhook(), remind_days=3)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))])
    for day in range(1, 5):
        world.sweep(MONDAY + day * DAY)
    first, second = events()
    assert "reminder" not in first["detail"]
    assert second["detail"]["reminder"] is True
    assert second["detail"]["login"] == "kim@example.com"


def test_who_failed_before_the_target_was_enabled_is_never_reminded(world, subscribe, mail, failing_user):
    kim = failing_user("kim@example.com")
    world.run(MONDAY - 2 * DAY, [("no-mfa", kim)])
    subscribe(mail, remind_days=1)
    assert sum(world.sweep(MONDAY + day * DAY) for day in range(5)) == 0


# --- It is over -------------------------------------------------------------------------------------
def test_who_is_cured_is_told_so_where_that_is_asked_for(world, subscribe, mail, failing_user):
    subscribe(mail, resolved=True)
    kim, lee = failing_user("kim@example.com"), failing_user("lee@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim), ("no-mfa", lee)])
    world.run(MONDAY + DAY, [("inactive-user", kim)], cured=[("no-mfa", kim), ("password-age", kim)])
    world.run(MONDAY + 2 * DAY, cured=[("inactive-user", kim)])
    *_, (_, both, text), (_, over, _) = mails()
    assert both == "[critical] 3 identity checks: kim@example.com"
    intro = "Your account kim@example.com no longer fails:"
    assert text.index("Inactive") < text.index(intro) < text.index("No MFA Configured")
    assert over.startswith("[medium] Resolved: ")
    assert not any("lee" in to for to, _, _ in mails(created_at__gt=MONDAY))


def test_a_webhook_gets_check_resolved_with_the_recipient(world, subscribe, webhook, failing_user):
    subscribe(webhook(), resolved=True)
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim)])
    world.run(MONDAY + DAY, cured=[("no-mfa", kim)])
    event = events()[-1]
    assert event["detail-type"] == "CHECK_RESOLVED"
    assert event["detail"]["usersResolved"] == ["kim@example.com"]
    assert event["detail"]["recipient"]["email"] == "kim@example.com"


def test_who_was_cured_before_anybody_was_told_hears_nothing(world, subscribe, mail, failing_user):
    subscribe(mail, resolved=True, cadence="daily")
    kim = failing_user("kim@example.com")
    world.sweep(MONDAY)
    world.run(MONDAY + HOUR, [("no-mfa", kim)])
    world.run(MONDAY + 2 * HOUR, cured=[("no-mfa", kim)])
    assert sum(world.sweep(MONDAY + day * DAY) for day in range(1, 4)) == 0


# --- First the user, then the manager ---------------------------------------------------------------
def test_the_manager_is_told_days_later_of_who_still_fails(world, subscribe, mail, failing_user):
    subscribe(mail, slugs=["no-mfa"])
    subscribe(mail, "manager", slugs=["no-mfa"], after_days=5)
    boss = failing_user("boss@example.com")
    kim, lee = failing_user("kim@example.com", manager=boss), failing_user("lee@example.com", manager=boss)
    world.run(MONDAY, [("no-mfa", kim), ("no-mfa", lee)])
    assert [to for to, _, _ in mails()] == ["kim@example.com", "lee@example.com"]
    world.run(MONDAY + 3 * DAY, cured=[("no-mfa", lee)])
    assert world.sweep(MONDAY + 5 * DAY - MINUTE) == 0
    assert world.sweep(MONDAY + 5 * DAY) == 1
    to, _, text = mails()[-1]
    assert to == "boss@example.com"
    assert "kim@example.com" in text
    assert "lee@example.com" not in text
    assert sum(world.sweep(MONDAY + day * DAY) for day in range(6, 20)) == 0, "once"


# --- Whatever happens -------------------------------------------------------------------------------
def test_two_processes_at_once_write_to_nobody_twice(world, subscribe, mail, failing_user):
    subscribe(mail)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))], sweep=False)
    mine = digests.due(MONDAY + MINUTE)
    assert world.sweep(MONDAY + MINUTE) == 1
    assert digests.tell_people(mine, MONDAY + MINUTE) == 0
    assert Delivery.objects.count() == Event.objects.count() == 1


def test_one_broken_target_keeps_nobody_else_from_being_told(world, subscribe, mail, failing_user):
    document = {"host": "127.0.0.1", "port": 2525, "security": "none", "sender": "a@example.com"}
    broken = save_integration(name="broken", kind="email", document=document).integration
    broken.sealed = "what no key opens"
    broken.save()
    subscribe(broken)
    subscribe(mail)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))])
    assert Delivery.objects.filter(integration=mail, state="due").count() == 1
    held = Subscription.objects.filter(integration=broken, told_until__lt=MONDAY)
    assert held.exists(), "it is tried again"


def test_more_people_than_a_chunk_are_all_written_to_once(world, subscribe, mail, failing_user, monkeypatch):
    monkeypatch.setattr("notifications.people.CHUNK", 2)
    subscribe(mail)
    people = [failing_user(f"user{number}@example.com") for number in range(7)]
    world.run(MONDAY, [(slug, user) for user in people for slug in ("no-mfa", "password-age")])
    assert [to for to, _, _ in mails()] == [user.email for user in people]
    assert {(delivery.batches) for delivery in Delivery.objects.all()} == {7}
    assert sorted(delivery.batch for delivery in Delivery.objects.all()) == list(range(1, 8))


def test_a_letter_about_very_many_counts_whom_it_does_not_name(world, subscribe, mail, failing_user):
    subscribe(mail, "manager")
    boss = failing_user("boss@example.com")
    reports = [failing_user(f"user{number:02}@example.com", manager=boss) for number in range(30)]
    world.run(MONDAY, [("no-mfa", user) for user in reports])
    ((_, _, text),) = mails()
    assert "user09@example.com and 20 more" in text
