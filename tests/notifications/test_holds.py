"""The guard on mass messages: when messages to people are held, what counts, and what a member decides."""

import threading
from collections import Counter
from datetime import time, timedelta

import pytest
from django.contrib.auth.models import User as Member
from django.core import mail as sent_mail
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from checks.models import Run
from cii_project.audit.models import AuditEntry
from cii_project.console.core.list_query import ListQuery
from cii_project.console.deliveries.delivery_filters import replayable_deliveries
from integrations import services as integration_services
from notifications import services, tasks
from notifications.delivery import pruning
from notifications.delivery.dispatcher import Dispatcher
from notifications.models import Configuration, Delivery, Hold
from notifications.planning import check_events, digests, holds
from notifications.planning.forecast import forecast, forecast_hold
from notifications.planning.holds import HoldDecided, exceeded_limits, hold_reason
from tests.notifications.conftest import HOUR, MONDAY

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def limits(people=2, percent=0, **more):
    Configuration.load()
    Configuration.objects.update(max_people_per_run=people, max_people_percent=percent, **more)


def states(**more):
    return dict(Counter(Delivery.objects.filter(**more).values_list("state", flat=True)))


@pytest.fixture
def people(failing_user):
    def make(count, prefix="kim"):
        return [failing_user(f"{prefix}{number}@example.com") for number in range(count)]

    return make


def failing(*people, slug="no-mfa"):
    return [(slug, user) for user in people]


@pytest.fixture
def member():
    return Member.objects.create_user("olga")


# --- The rule -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("people", "users", "max_people", "max_percent", "held_by"),
    [
        (200, 10_000, 200, 20, []),
        (201, 10_000, 200, 20, ["200 people"]),
        (201, 1000, 0, 20, ["20 % of 1,000 users"]),
        (200, 1000, 0, 20, []),
        (201, 1000, 200, 20, ["200 people", "20 % of 1,000 users"]),
        (1_000_000, 1_000_000, 0, 0, []),
        (5, 5, 200, 20, []),
        (20, 20, 200, 20, []),
        (21, 20, 200, 20, ["20 % of 20 users"]),
        (30, 0, 200, 20, ["20 % of 0 users"]),
    ],
)
def test_a_limit_is_exceeded_by_one_more_and_zero_is_no_limit(
    people, users, max_people, max_percent, held_by
):
    assert exceeded_limits(people, users, max_people, max_percent) == held_by


def test_the_reason_names_the_numbers():
    hold = Hold(people=150, counted=300, users=9000, max_people=200, max_percent=20)
    assert hold_reason(hold) == (
        "150 people would get direct messages; with other held messages and those of the last 12 hours, "
        "300 people. The limit is 200 people."
    )


# --- A run ----------------------------------------------------------------------------------------------
def test_a_run_within_the_limits_sends_its_messages(world, subscribe, mail, people):
    limits(people=2)
    subscribe(mail)
    world.run(MONDAY, failing(*people(2)))
    assert states() == {"due": 2}
    assert set(Delivery.objects.values_list("due_at", flat=True)) == {MONDAY}
    assert not Hold.objects.exists()


def test_a_run_beyond_a_limit_holds_the_messages_to_people_and_sends_the_lists(
    world, subscribe, mail, webhook, people
):
    limits(people=2)
    subscribe(mail)
    subscribe(webhook(), "list", ["no-mfa"])
    world.run(MONDAY, failing(*people(3)))
    assert states(audience="user") == {"held": 3}
    assert states(audience="list") == {"due": 1}
    hold = Hold.objects.get()
    assert (hold.people, hold.messages, hold.counted, hold.users) == (3, 3, 3, 3)
    assert hold.run == Run.objects.get()
    entry = AuditEntry.objects.get(object_kind="notifications.hold")
    assert (entry.actor_kind, entry.after["people"]) == ("system", 3)
    assert hold.checks == {"no-mfa": 3}
    assert set(Delivery.objects.filter(audience="user").values_list("due_at", "finished_at", "hold")) == {
        (None, None, hold.pk)
    }


def test_people_are_counted_over_all_targets_and_checks_of_the_run(world, subscribe, mail, webhook, people):
    """Two notified by mail, two others by webhook: neither is over the limit alone."""
    limits(people=3)
    kim, lee, ann, bob = people(4)
    subscribe(webhook("direct"), "user", ["no-mfa"])
    subscribe(mail, "user", ["password-age"])
    world.run(MONDAY, [*failing(kim, lee), *failing(ann, bob, slug="password-age")])
    assert states() == {"held": 4}
    assert Hold.objects.get().checks == {"no-mfa": 2, "password-age": 2}


def test_one_who_gets_many_messages_is_one_person(world, subscribe, mail, webhook, people):
    limits(people=1)
    (kim,) = people(1)
    subscribe(mail)
    subscribe(webhook("direct"), "user")
    world.run(MONDAY, [("no-mfa", kim), ("password-age", kim), ("inactive-user", kim)])
    assert states() == {"due": 4}


def test_managers_count_by_who_is_written_to(world, subscribe, mail, failing_user):
    limits(people=1)
    boss = failing_user("boss@example.com")
    reports = [failing_user(f"kim{number}@example.com", manager=boss) for number in range(5)]
    subscribe(mail, "manager")
    world.run(MONDAY, failing(*reports))
    assert states() == {"due": 1}


def test_the_percentage_counts_the_users_that_the_checks_evaluate(world, subscribe, mail, people):
    limits(people=0, percent=50)
    subscribe(mail)
    some = people(45)
    world.run(MONDAY, failing(*some[:22]))
    assert states() == {"due": 22}
    world.run(MONDAY + DAY, failing(*some[22:]))
    assert states() == {"due": 22, "held": 23}
    assert hold_reason(Hold.objects.get()).endswith("The limit is 50 % of 45 users.")


def test_messages_of_a_live_run_are_not_sent_before_it_has_ended(world, subscribe, checks, webhook, people):
    """What a webhook gets in the run's own transactions waits for the count over all checks."""
    limits(people=3)
    subscribe(webhook("direct"), "user")
    world.run(MONDAY - DAY)
    world.at(MONDAY)
    run = Run.objects.create(state="running", trigger="command", started_at=MONDAY)
    kim, lee, ann, bob = people(4)
    for slug, some in (("no-mfa", (kim, lee)), ("password-age", (ann, bob))):
        for user in some:
            checks[slug].findings.create(user=user, opened_at=MONDAY, opened_run=run)
        check_events.plan(run, checks[slug])
        world.sweep(MONDAY)
        assert set(states()) == {"held"}
    assert not Hold.objects.exists()
    Run.objects.filter(pk=run.pk).update(state="died", finished_at=MONDAY)
    world.sweep(MONDAY)
    assert states() == {"held": 4}
    assert Hold.objects.get().people == 4


def test_a_run_that_ends_after_a_plan_began_waits_for_the_next_plan(
    world, subscribe, checks, webhook, people
):
    limits(people=9)
    subscribe(webhook("direct"), "user", ["no-mfa"])
    world.run(MONDAY, failing(*people(2)), sweep=False)
    Run.objects.update(finished_at=MONDAY + HOUR)
    world.sweep(MONDAY)
    assert states() == {"held": 2}
    world.sweep(MONDAY + HOUR)
    assert states() == {"due": 2}


def test_a_process_that_dies_before_the_decision_leaves_held_messages_for_the_sweep(
    world, subscribe, mail, people, monkeypatch
):
    limits(people=2)
    subscribe(mail)

    def die(now):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(holds, "hold_or_release", die)
        with pytest.raises(SystemExit):
            world.run(MONDAY, failing(*people(3)))
    assert states() == {"held": 3}
    world.sweep(MONDAY + timedelta(minutes=1))
    assert Hold.objects.get().people == 3


def test_without_limits_nothing_waits(world, subscribe, webhook, mail, people):
    limits(people=0, percent=0)
    subscribe(webhook("direct"), "user", ["no-mfa"])
    subscribe(mail)
    world.run(MONDAY, failing(*people(30)), sweep=False)
    assert states() == {"due": 30}
    world.sweep(MONDAY)
    assert states() == {"due": 60}


def test_a_disabled_targets_messages_are_dead_letters_and_do_not_count(world, subscribe, webhook, people):
    limits(people=2)
    target = webhook("direct")
    subscribe(target, "user", ["no-mfa"])
    integration_services.disable(target, "by a test")
    world.run(MONDAY, failing(*people(3)))
    assert states() == {"dead": 3}
    assert not Hold.objects.exists()


# --- Runs that follow each other ------------------------------------------------------------------------
def test_two_runs_within_the_hours_count_together_and_two_daily_ones_do_not(world, subscribe, mail, people):
    limits(people=2)
    subscribe(mail)
    some = people(6)
    world.run(MONDAY, failing(*some[:2]))
    world.run(MONDAY + HOUR, failing(*some[2:4]))
    hold = Hold.objects.get()
    assert (hold.people, hold.counted) == (2, 4)
    assert states() == {"due": 2, "held": 2}
    services.drop_hold(hold)
    world.run(MONDAY + DAY, failing(*some[4:]))
    assert states() == {"due": 4, "skipped": 2}


def test_the_people_of_an_open_hold_count_for_the_next_run_which_has_its_own_hold(
    world, subscribe, mail, people
):
    limits(people=2)
    subscribe(mail)
    some = people(6)
    world.run(MONDAY, failing(*some[:3]))
    world.run(MONDAY + DAY, failing(some[3]))
    last, first = Hold.objects.all()
    assert (first.people, last.people, last.counted) == (3, 1, 4)
    services.release_hold(first)
    world.run(MONDAY + 2 * DAY, failing(some[4]))
    assert states() == {"due": 4, "held": 1}, "what a member released does not count"


# --- What a member decides ------------------------------------------------------------------------------
@pytest.fixture
def hold(world, subscribe, mail, people):
    limits(people=2)
    subscribe(mail, resolved=True, remind_days=7)
    world.run(MONDAY, failing(*people(3)))
    return Hold.objects.get()


def test_release_sends_the_bytes_that_were_planned(hold, member, queued_tasks):
    before = {one.id: bytes(one.body) for one in Delivery.objects.all()}
    assert services.release_hold(hold, by=member) == 3
    assert states() == {"due": 3}
    assert {one.id: bytes(one.body) for one in Delivery.objects.all()} == before
    hold.refresh_from_db()
    assert (hold.state, hold.decided_by) == ("released", member)
    entry = AuditEntry.objects.latest("id")
    assert entry.text == "Released 3 held messages to 3 people."
    assert (entry.before, entry.after) == (
        {"state": "open"},
        {"state": "released", "messages": 3, "people": 3},
    )


def test_release_heeds_quiet_hours(hold, world, queued_tasks):
    Configuration.objects.update(quiet_from=time(5), quiet_until=time(8))
    services.release_hold(hold)
    assert set(Delivery.objects.values_list("due_at", flat=True)) == {MONDAY + 2 * HOUR}


def test_drop_records_every_message_as_skipped(hold, member):
    assert services.drop_hold(hold, by=member) == 3
    assert states() == {"skipped": 3}
    one = Delivery.objects.first()
    assert "dropped by olga" in one.reason
    assert one.finished_at
    assert one.hold == hold
    assert AuditEntry.objects.latest("id").text == "Dropped 3 held messages to 3 people."


@pytest.mark.parametrize("second", [services.release_hold, services.drop_hold])
@pytest.mark.parametrize("first", [services.release_hold, services.drop_hold])
def test_a_second_decision_changes_nothing_and_says_who_took_the_first(
    hold, member, queued_tasks, first, second
):
    first(hold, by=member)
    before, recorded = states(), AuditEntry.objects.count()
    with pytest.raises(HoldDecided, match=r"were (released|dropped) already by olga"):
        second(hold, by=None)
    assert states() == before
    assert AuditEntry.objects.count() == recorded


def test_after_a_drop_reminders_follow_their_interval(hold, world):
    services.drop_hold(hold)
    for day in range(1, 7):
        world.sweep(MONDAY + day * DAY)
    assert states() == {"skipped": 3}
    world.sweep(MONDAY + 7 * DAY)
    assert states() == {"skipped": 3, "held": 3}, "too many again"


def test_a_dropped_finding_is_not_sent_as_resolved(hold, world, people, checks):
    kim = Delivery.objects.order_by("batch").first().recipient
    services.drop_hold(hold)
    world.run(MONDAY + DAY, cured=failing(kim))
    assert states() == {"skipped": 3}


def test_a_finding_that_was_sent_is_sent_as_resolved(hold, world, queued_tasks):
    kim = Delivery.objects.order_by("batch").first().recipient
    services.release_hold(hold)
    world.run(MONDAY + DAY, cured=failing(kim))
    assert states() == {"due": 4}


def test_no_worker_claims_what_is_held_and_it_arrives_after_its_release(
    world, subscribe, webhook, receiver, people, queued_tasks
):
    limits(people=2)
    subscribe(webhook("direct"), "user", ["no-mfa"])
    world.run(MONDAY, failing(*people(3)))
    Dispatcher(seconds=5, threads=8).run()
    tasks.sweep()
    Dispatcher(seconds=5, threads=8).run()
    assert receiver.requests == []
    assert states() == {"held": 3}
    services.release_hold(Hold.objects.get())
    Dispatcher(seconds=5, threads=8).run()
    assert states() == {"delivered": 3}
    assert len(receiver.requests) == 3


def test_held_messages_keep_their_content_and_cannot_be_replayed(hold, world):
    world.at(MONDAY + 400 * DAY)
    assert pruning.remove_old() == (0, 0)
    one = Delivery.objects.first()
    with pytest.raises(services.ReplayRefused, match="is held"):
        services.replay(one)
    assert services.replay_matching(Delivery.objects.all()) == 0
    assert states() == {"held": 3}


def test_what_was_dropped_is_sent_again_only_one_by_one(hold, world, queued_tasks, capsys):
    services.drop_hold(hold)
    assert services.replay_matching(Delivery.objects.all()) == 0
    assert replayable_deliveries(ListQuery(filters={"state": "skipped"})).count() == 0
    call_command("replay", "--state", "skipped", "--yes")
    assert "nothing to replay" in capsys.readouterr().out
    assert states() == {"skipped": 3}
    services.replay(Delivery.objects.first())
    assert states() == {"skipped": 2, "due": 1}


def test_what_a_member_sends_is_never_held(
    world, subscribe, webhook, receiver, people, checks, queued_tasks, member
):
    limits(people=1)
    target = webhook("direct")
    subscribe(target, "user", ["no-mfa"])
    world.run(MONDAY, failing(*people(3)))
    services.drop_hold(Hold.objects.get())
    services.send_test_message(checks["no-mfa"], target, audience="user", by=member)
    services.send_current(checks["no-mfa"], target, audience="user", by=member)
    assert states() == {"skipped": 3, "delivered": 1, "due": 3}


def test_the_sweep_finds_undecided_messages_by_a_partial_index(hold):
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL reads so small a table whole")
    query = holds.undecided(timezone.now()).order_by().query
    with connection.cursor() as cursor:
        sql, params = query.sql_with_params()
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        plan = " ".join(str(row[-1]) for row in cursor.fetchall())
    assert "delivery_held" in plan


# --- The owners -----------------------------------------------------------------------------------------
def test_each_owner_gets_one_mail_about_a_hold(world, subscribe, webhook, mail, people):
    limits(people=2, base_url="https://checks.example.com/")
    integration_services.save_integration(
        name=mail.name, kind="email", document=integration_services.document_of(mail),
        owner_email="iam@example.com", integration=mail,
    )  # fmt: skip
    subscribe(mail)
    subscribe(webhook("direct", owner_email="soc@example.com"), "user", ["no-mfa"])
    subscribe(webhook("not concerned", owner_email="other@example.com"), "list", ["no-mfa"])
    world.run(MONDAY, failing(*people(3)))
    world.sweep(MONDAY + HOUR)
    assert sorted(message.to for message in sent_mail.outbox) == [["iam@example.com"], ["soc@example.com"]]
    message = sent_mail.outbox[0]
    assert message.subject == "Held: direct messages to 3 people"
    assert "3 people would get direct messages. The limit is 2 people." in message.body
    assert f"https://checks.example.com/deliveries/held/{Hold.objects.get().pk}/" in message.body
    assert "“direct”, “mail”" in message.body


def test_a_mail_that_was_not_sent_before_the_process_died_is_sent_by_the_sweep(
    world, subscribe, webhook, people, monkeypatch
):
    limits(people=2)
    subscribe(webhook("direct", owner_email="soc@example.com"), "user", ["no-mfa"])
    with monkeypatch.context() as patched:
        patched.setattr(holds, "announce", lambda: None)
        world.run(MONDAY, failing(*people(3)))
    assert sent_mail.outbox == []
    world.sweep(MONDAY)
    assert len(sent_mail.outbox) == 1
    assert "page “Held messages”" in sent_mail.outbox[0].body


# --- Before a run ---------------------------------------------------------------------------------------
def test_the_forecast_says_that_a_run_would_be_held(subscribe, mail, people, monkeypatch):
    limits(people=2)
    subscribe(mail, slugs=["no-mfa"])
    monkeypatch.undo()
    people(2)
    assert forecast_hold(forecast(["no-mfa"])) is None
    people(1, "lee")
    hold = forecast_hold(forecast(["no-mfa"], people_only=True))
    assert (hold.people, hold.messages, hold.pk) == (3, 3, None)
    assert not Hold.objects.exists()


# --- At once --------------------------------------------------------------------------------------------
def at_once(*actions):
    """Runs each in a thread with its own connection; returns what each returned or raised."""
    results, barrier = [], threading.Barrier(len(actions))

    def act(action):
        try:
            barrier.wait()
            results.append(action())
        except Exception as error:  # noqa: BLE001  the test looks at it
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_members_at_once_one_decides(hold, queued_tasks):
    for _ in range(5):
        Hold.objects.update(state="open", decided_at=None)
        Delivery.objects.update(state="held", due_at=None, finished_at=None)
        first, second = (Hold.objects.get(), Hold.objects.get())
        results = at_once(lambda: services.release_hold(first), lambda: services.drop_hold(second))  # noqa: B023
        assert sorted(type(result).__name__ for result in results) == ["HoldDecided", "int"]
        decided = Hold.objects.get().state
        assert states() == {"due" if decided == "released" else "skipped": 3}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_sweeps_at_once_one_decides(world, subscribe, webhook, people, queued_tasks):
    limits(people=2)
    subscribe(webhook("direct"), "user", ["no-mfa"])
    world.run(MONDAY, failing(*people(3)), sweep=False)
    results = at_once(lambda: digests.plan_due(MONDAY), lambda: digests.plan_due(MONDAY))
    assert results == [0, 0]
    assert Hold.objects.count() == 1
    assert states() == {"held": 3}
    assert set(Delivery.objects.values_list("hold", flat=True)) == {Hold.objects.get().pk}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_release_while_a_run_plans_leaves_the_runs_messages_held(hold, world, people, queued_tasks):
    some = people(3, "lee")
    world.run(MONDAY + HOUR, failing(*some), sweep=False)
    at_once(lambda: services.release_hold(hold), lambda: digests.plan_due(MONDAY + HOUR))
    assert states(hold=hold) == {"due": 3}
    assert states(recipient__in=some) == {"held": 3}
    assert Hold.objects.exclude(pk=hold.pk).get().people == 3
