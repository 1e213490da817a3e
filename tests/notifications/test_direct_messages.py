"""Messages to the people concerned: one a person and run, reminders, notes that it is over, escalation."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes, policy

import pytest

from checks.models import Finding
from integrations.services import save_integration
from notifications import services
from notifications.models import Configuration, Delivery, Event, Subscription
from notifications.planning import digests, direct_messages, finding_ranges
from notifications.planning.due import due_subscriptions
from notifications.rendering.schema import validator
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
    assert subject == "Your account: 3 things to look at"
    assert "Please look at this on your account kim@example.com:" in text
    parts = (
        "no second sign-in step",
        "not signed in to your account for more than",
        "password of your account is more than",
    )
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts), (
        "the worst first"
    )
    assert other == "lee@example.com"
    assert "3 things" not in other_subject
    assert "Account: lee@example.com" in other_text, "a single one has the check's message"
    assert [delivery.users for delivery in Delivery.objects.all()] == [1, 1]


def test_no_direct_message_is_planned_before_the_run_has_ended(world, subscribe, mail, failing_user):
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
    assert subject == "Your team: 2 things to look at"
    assert "such as an app or a security key: Kim (kim@example.com), Lee (lee@example.com)" in text
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
    assert subject == "Your team: 2 things to look at"
    parts = (
        "Please look at this on your account boss@example.com:",
        "Enrol, boss@example.com!",
        "Please look at this for people in your team:",
        "Ask kim@example.com to enrol.",
        "The password of this account is more than 365 days old: Kim (kim@example.com)",
    )
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "team" not in other_text
    message = Delivery.objects.get(recipient=boss)
    assert (message.audience, message.users) == ("user", 2)
    spoken_of = Finding.objects.filter(user__in=[boss, kim])
    assert [one.pk for one in spoken_of if finding_ranges.contains(message.finding_ranges, one.pk)] == [
        one.pk for one in spoken_of
    ]


def test_a_user_who_is_their_own_manager_gets_one_message(world, subscribe, mail, failing_user):
    subscribe(mail)
    subscribe(mail, "manager")
    boss = failing_user("boss@example.com")
    boss.manager = boss
    boss.save()
    assert world.run(MONDAY, [("no-mfa", boss), ("password-age", boss)]) == 1
    ((_, _, text),) = mails()
    assert text.count("no second sign-in step") == text.count("The password of your account") == 1
    assert "team" not in text


def test_a_webhook_gets_an_event_for_each_role(world, subscribe, webhook, failing_user):
    subscribe(webhook())
    subscribe(webhook("second", "/second"), "manager")
    boss = failing_user("boss@example.com")
    kim = failing_user("kim@example.com", manager=boss)
    world.run(MONDAY, [("no-mfa", boss), ("no-mfa", kim)])
    recipients = [
        (each["detail"]["recipient"]["kind"], each["detail"]["recipient"]["email"]) for each in events()
    ]
    assert sorted(recipients) == [
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
    assert skipped.reason == "kim has no e-mail address."
    assert world.sweep(MONDAY + 2 * DAY) == 0, "once is enough"


def test_a_customised_message_stands_in_the_mail_of_several(world, subscribe, mail, failing_user, checks):
    services.save_message(checks["no-mfa"], "email", "Enrol, {{ user.display_name }}!", audience="user")
    subscribe(mail)
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    ((_, _, text),) = mails()
    assert "No second sign-in step:\nEnrol, Kim!" in text
    assert "The password of your account" in text


def test_a_webhook_gets_the_contracts_event_for_each_user_and_check(world, subscribe, webhook, failing_user):
    subscribe(webhook())
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    assert sorted(event["detail"]["checkId"] for event in events()) == ["no-mfa", "password-age"]


def test_a_daily_message_collects_the_runs_of_a_day(world, subscribe, mail, failing_user):
    subscribe(mail, cadence="daily")
    kim = failing_user("kim@example.com")
    assert world.run(MONDAY - HOUR / 2, [("no-mfa", kim)]) == 0
    assert world.run(MONDAY + HOUR, [("password-age", kim)]) == 1
    assert mails()[0][1] == "Your account: 2 things to look at"


def test_direct_messages_obey_the_filter_and_excluded_users_are_counted(world, subscribe, mail, failing_user):
    subscribe(mail, filter={"departments": ["Sales"], "severity": "medium"})
    kim = failing_user("kim@example.com", department="Sales")
    lee = failing_user("lee@example.com", department="Legal")
    world.run(MONDAY, [("no-mfa", kim), ("no-mfa", lee), ("password-age", kim)])
    assert [(to, subject) for to, subject, _ in mails()] == [
        ("kim@example.com", "Your account: no second sign-in step")
    ]
    reasons = Delivery.objects.filter(state="skipped").order_by("batch").values_list("users", "reason")
    assert sorted(reasons) == [
        (1, "No MFA Configured: Excluded by the filter. Only severity medium or worse, department Sales."),
        (
            1,
            "Old Password: Excluded by the filter. The check is low; this target is notified from medium on.",
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
    from notifications.quiet_hours import end_of_quiet_hours

    berlin = Configuration(quiet_from=time(20), quiet_until=time(7), run_zone="Europe/Berlin")
    assert end_of_quiet_hours(datetime(2026, 3, 2, 19, 30, tzinfo=UTC), berlin) == datetime(
        2026, 3, 3, 6, tzinfo=UTC
    )
    assert end_of_quiet_hours(datetime(2026, 3, 3, 5, 59, tzinfo=UTC), berlin) == datetime(
        2026, 3, 3, 6, tzinfo=UTC
    )
    assert end_of_quiet_hours(datetime(2026, 3, 3, 6, 0, tzinfo=UTC), berlin) == datetime(
        2026, 3, 3, 6, tzinfo=UTC
    )


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
        "Your account: 2 things to look at",
        "Reminder: Your account: 2 things to look at",
        "Reminder: Your account: no second sign-in step",
    ]
    sent = [delivery.created_at for delivery in Delivery.objects.order_by("created_at")]
    assert [(moment - MONDAY).days for moment in sent] == [0, 7, 14]


def test_a_new_failure_and_a_due_reminder_are_one_mail(world, subscribe, mail, failing_user):
    subscribe(mail, remind_days=2)
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim)])
    world.run(MONDAY + 2 * DAY, [("password-age", kim)])
    (_, (_, subject, text)) = mails()
    assert subject == "Your account: 2 things to look at"
    introduction = "This is still open on your account kim@example.com, as we wrote before:"
    assert text.index("password") < text.index(introduction) < text.index("no second sign-in step")


def test_a_manager_who_hears_of_others_each_day_is_reminded_all_the_same(
    world, subscribe, mail, failing_user
):
    subscribe(mail, "manager", slugs=["no-mfa"], remind_days=3)
    boss = failing_user("boss@example.com")
    for day in range(7):
        user = failing_user(f"user{day}@example.com", manager=boss)
        world.run(MONDAY + day * DAY, [("no-mfa", user)])
    reminded = ["still open" in text for _, _, text in mails()]
    assert reminded == [False, False, False, True, False, False, True]
    assert "User0 (user0@example.com), User1 (user1@example.com), User2 (user2@example.com)" in mails()[3][2]


def test_two_processes_that_drafted_the_same_reminder_send_it_once(
    world, subscribe, mail, failing_user, monkeypatch
):
    """No run has ended since the last round, so the daily slot alone tells the second process that it is too late."""
    subscribe(mail, slugs=["no-mfa"], remind_days=2)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))])
    later = MONDAY + 2 * DAY
    world.at(later)
    (together,) = [[each] for each in due_subscriptions(later)]
    drafted = direct_messages.drafted

    @contextmanager
    def drafted_while_another_sends(together, now):
        with drafted(together, now) as draft:
            monkeypatch.setattr(direct_messages, "drafted", drafted)
            assert digests.plan_due(later) == 1
            yield draft

    monkeypatch.setattr(direct_messages, "drafted", drafted_while_another_sends)
    assert digests.plan_direct_messages(together, later) == 0
    assert [subject for _, subject, _ in mails()] == [
        "Your account: no second sign-in step",
        "Reminder: Your account: no second sign-in step",
    ]


def test_each_number_of_days_counts_by_itself(world, subscribe, mail, failing_user):
    subscribe(mail, slugs=["no-mfa"], remind_days=2)
    subscribe(mail, slugs=["password-age"], remind_days=5)
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim)])
    for day in range(1, 11):
        world.sweep(MONDAY + day * DAY)
    reminded = [
        ((sent.created_at - MONDAY).days, subject.partition(": ")[2])
        for sent, (_, subject, _) in zip(Delivery.objects.order_by("created_at"), mails(), strict=True)
    ][1:]
    mfa, password = "Your account: no second sign-in step", "Your account: old password"
    both = "Your account: 2 things to look at"
    assert reminded == [(2, mfa), (4, mfa), (5, password), (6, mfa), (8, mfa), (10, both)]


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


def test_without_remind_days_there_are_no_reminders(world, subscribe, mail, failing_user):
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
def test_a_resolved_finding_is_sent_where_the_option_is_set(world, subscribe, mail, failing_user):
    subscribe(mail, resolved=True)
    kim, lee = failing_user("kim@example.com"), failing_user("lee@example.com")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim), ("no-mfa", lee)])
    world.run(MONDAY + DAY, [("inactive-user", kim)], cured=[("no-mfa", kim), ("password-age", kim)])
    world.run(MONDAY + 2 * DAY, cured=[("inactive-user", kim)])
    *_, (_, both, text), (_, over, _) = mails()
    assert both == "Your account: 3 things to look at"
    introduction = "This is no longer open on your account kim@example.com:"
    assert text.index("not signed in") < text.index(introduction) < text.index("No second sign-in step")
    assert over == "Resolved: Your account: account not used for a long time"
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


def test_a_finding_that_is_cured_before_it_was_sent_is_never_sent(world, subscribe, mail, failing_user):
    subscribe(mail, resolved=True, cadence="daily")
    kim = failing_user("kim@example.com")
    world.sweep(MONDAY)
    world.run(MONDAY + HOUR, [("no-mfa", kim)])
    world.run(MONDAY + 2 * HOUR, cured=[("no-mfa", kim)])
    assert sum(world.sweep(MONDAY + day * DAY) for day in range(1, 4)) == 0


# --- First the user, then the manager ---------------------------------------------------------------
def test_the_manager_is_notified_days_later_if_the_user_still_fails(world, subscribe, mail, failing_user):
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
def test_two_processes_at_once_send_no_message_twice(world, subscribe, mail, failing_user):
    subscribe(mail)
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))], sweep=False)
    mine = due_subscriptions(MONDAY + MINUTE)
    assert world.sweep(MONDAY + MINUTE) == 1
    assert digests.plan_direct_messages(mine, MONDAY + MINUTE) == 0
    assert Delivery.objects.count() == Event.objects.count() == 1


def test_one_broken_target_does_not_stop_the_others(world, subscribe, mail, failing_user):
    document = {"host": "127.0.0.1", "port": 2525, "security": "none", "sender": "a@example.com"}
    broken = save_integration(name="broken", kind="email", document=document).integration
    subscribe(broken)
    subscribe(mail)
    broken.kind = "a-kind-of-another-version"
    broken.save()
    world.run(MONDAY, [("no-mfa", failing_user("kim@example.com"))])
    assert Delivery.objects.filter(integration=mail, state="due").count() == 1
    held = Subscription.objects.filter(integration=broken, opened_until__lt=MONDAY)
    assert held.exists(), "it is tried again"


def test_more_people_than_a_chunk_are_all_written_to_once(world, subscribe, mail, failing_user, monkeypatch):
    monkeypatch.setattr("notifications.planning.direct_findings.CHUNK", 2)
    subscribe(mail)
    people = [failing_user(f"user{number}@example.com") for number in range(7)]
    world.run(MONDAY, [(slug, user) for user in people for slug in ("no-mfa", "password-age")])
    assert [to for to, _, _ in mails()] == [user.email for user in people]
    assert {(delivery.batches) for delivery in Delivery.objects.all()} == {7}
    assert sorted(delivery.batch for delivery in Delivery.objects.all()) == list(range(1, 8))


def test_a_message_about_many_users_counts_those_it_does_not_name(world, subscribe, mail, failing_user):
    subscribe(mail, "manager")
    boss = failing_user("boss@example.com")
    reports = [failing_user(f"user{number:02}@example.com", manager=boss) for number in range(30)]
    world.run(MONDAY, [("no-mfa", user) for user in reports])
    ((_, _, text),) = mails()
    assert "User09 (user09@example.com) and 20 more" in text
