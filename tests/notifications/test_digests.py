"""Digests, and what resolved events and digests have in common: sent once, whatever dies or is down."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from checks.models import Check, Finding, Run, User
from notifications import services, tasks
from notifications.models import Configuration, Delivery, Subscription
from notifications.planning import check_events, digests
from notifications.planning.due import due_subscriptions
from notifications.rendering.schema import validator

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def world(no_mfa, failing_user, monkeypatch):
    """Runs at chosen times, by hand: who begins to fail, who ceases to."""

    class World:
        users = {}

        def at(self, moment):
            monkeypatch.setattr(timezone, "now", lambda: moment)

        def run(self, moment, *new, cured=(), state="succeeded", notify=True, check=no_mfa):
            self.at(moment)
            run = Run.objects.create(
                state=state, trigger="command", started_at=moment, created_at=moment, notify=notify
            )
            for name in new:
                user = self.users.get(name) or failing_user(name)
                self.users[name] = user
                Finding.objects.create(check_ref=check, user=user, opened_at=moment, opened_run=run)
            Finding.objects.filter(user__name__in=cured, check_ref=check, resolved_at=None).update(
                resolved_at=moment, resolved_run=run, resolution="cured"
            )
            if notify and state == "succeeded":
                check_events.plan(run, check)
            return run

        def sweep(self, moment):
            self.at(moment)
            return digests.plan_due(moment)

    return World()


@pytest.fixture
def subscribed(no_mfa, webhook, world):
    def make(moment, audience="list", **options):
        world.at(moment)
        services.subscribe(no_mfa, webhook(), audience, **options)
        return Subscription.objects.get()

    return make


def events(**more):
    found = Delivery.objects.filter(body__isnull=False, **more).order_by("created_at", "batch")
    made = [json.loads(bytes(delivery.body)) for delivery in found]
    for event in made:
        validator(event["detail-type"]).validate(event)
    return made


def logins():
    return [event["detail"]["usersFailing"] for event in events(event__origin="digest")]


# --- Digests ----------------------------------------------------------------------------------------
def test_a_daily_digest_collects_who_began_to_fail_and_still_does(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY, "kim", "lee")
    world.run(MONDAY + HOUR, "max", cured=["lee"])
    assert world.sweep(MONDAY + 2 * HOUR) == 1
    assert logins() == [["kim", "max"]]
    assert world.sweep(MONDAY + 3 * HOUR) == 0, "once a day"
    world.run(MONDAY + 4 * HOUR, "abe")
    assert world.sweep(MONDAY + 5 * HOUR) == 0
    assert world.sweep(MONDAY + DAY) == 1
    assert logins() == [["kim", "max"], ["abe"]]
    assert world.sweep(MONDAY + 2 * DAY) == 0, "nothing new, no event"


def test_a_weekly_digest_goes_on_mondays(world, subscribed):
    subscribed(MONDAY + HOUR, cadence="weekly")
    for day in range(1, 7):
        world.run(MONDAY + day * DAY, f"user{day}")
        assert world.sweep(MONDAY + day * DAY + HOUR) == 0
    assert world.sweep(MONDAY + 7 * DAY) == 1
    assert logins() == [[f"user{day}" for day in range(1, 7)]]


def test_a_weekly_digest_goes_on_another_day_where_that_is_set(world, subscribed):
    Configuration.load()
    Configuration.objects.update(weekly_on="thursday")
    subscribed(MONDAY + HOUR, cadence="weekly")
    world.run(MONDAY + DAY, "kim")
    for day in (1, 2):
        assert world.sweep(MONDAY + day * DAY + HOUR) == 0
    assert world.sweep(MONDAY + 3 * DAY) == 1
    assert logins() == [["kim"]]
    world.run(MONDAY + 4 * DAY, "lee")
    assert world.sweep(MONDAY + 7 * DAY) == 0, "no longer on Mondays"


def test_a_digest_goes_at_the_installations_time_in_its_zone(world, subscribed):
    Configuration.load()
    Configuration.objects.update(run_time="06:00", run_zone="America/New_York")
    subscribed(MONDAY, cadence="daily")
    world.run(MONDAY + HOUR, "kim")
    assert world.sweep(datetime(2026, 3, 2, 10, 59, tzinfo=UTC)) == 0
    assert world.sweep(datetime(2026, 3, 2, 11, 0, tzinfo=UTC)) == 1


def test_a_digest_waits_an_hour_at_most_for_the_daily_run_of_its_time(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY - HOUR / 2, "kim")
    Configuration.load()
    Configuration.objects.update(daily_slot=MONDAY - DAY)
    assert world.sweep(MONDAY + timedelta(minutes=1)) == 0, "the daily run was not started yet"
    Configuration.objects.update(daily_slot=MONDAY)
    live = world.run(MONDAY, "lee", state="running")
    assert world.sweep(MONDAY + timedelta(minutes=2)) == 0, "it is under way"
    Run.objects.filter(pk=live.pk).update(state="succeeded")
    assert world.sweep(MONDAY + timedelta(minutes=3)) == 1
    assert logins() == [["kim", "lee"]]
    world.run(MONDAY + 2 * HOUR, "max")
    world.run(MONDAY + DAY, state="queued")
    assert world.sweep(MONDAY + DAY + 2 * HOUR) == 1, "nobody picks up the run: what is known is sent"


def test_after_days_without_a_cluster_one_digest_makes_up_for_all(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily")
    for day in range(4):
        world.run(MONDAY + day * DAY, f"user{day}")
    assert world.sweep(MONDAY + 4 * DAY) == 1
    assert logins() == [["user0", "user1", "user2", "user3"]]


def test_what_a_run_is_still_writing_waits_for_the_next_digest_and_is_not_lost(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY - HOUR / 2, "kim")
    live = world.run(MONDAY - HOUR / 3, "lee", state="running")
    assert world.sweep(MONDAY + 2 * HOUR) == 1
    assert logins() == [["kim"]]
    Run.objects.filter(pk=live.pk).update(state="died")
    assert world.sweep(MONDAY + DAY) == 1
    assert logins() == [["kim"], ["lee"]]


def test_a_digest_that_dies_half_way_is_made_up_for_by_the_next_sweep(world, subscribed, monkeypatch):
    subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY, "kim")

    def die(*_, **__):
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("notifications.planning.check_events.sql.insert_rows", die)
        assert world.sweep(MONDAY) == 0
    assert not Delivery.objects.exists()
    assert world.sweep(MONDAY + timedelta(minutes=1)) == 1
    assert logins() == [["kim"]]


def test_two_processes_at_once_send_one_digest(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY, "kim")
    (mine,) = due_subscriptions(MONDAY + HOUR)
    assert digests.plan_due(MONDAY + HOUR) == 1
    assert digests.plan_list(mine) == 0


def test_two_processes_at_once_send_what_has_waited_for_days_once(world, subscribed):
    subscribed(MONDAY - HOUR, after_days=3)
    world.run(MONDAY, "kim")
    assert world.sweep(MONDAY + DAY) == 0
    (mine,) = due_subscriptions(MONDAY + 3 * DAY)
    assert digests.plan_due(MONDAY + 3 * DAY) == 1
    assert digests.plan_list(mine) == 0


def test_two_processes_at_once_send_one_resolved_event(world, subscribed):
    one = subscribed(MONDAY - HOUR, resolved=True)
    world.run(MONDAY, "kim")
    services.change_subscription(one, after_days=30)
    world.run(MONDAY + HOUR, cured=["kim"])
    (mine,) = due_subscriptions(MONDAY + 2 * HOUR)
    assert digests.plan_due(MONDAY + 2 * HOUR) == 1
    assert digests.plan_list(mine) == 0
    assert [detail["usersResolved"] for detail in resolved()] == [["kim"]]


def test_runs_without_notifications_are_in_no_digest(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY, "kim", notify=False)
    assert world.sweep(MONDAY + HOUR) == 0


def test_a_new_subscription_is_sent_nothing_old(world, subscribed):
    world.run(MONDAY, "kim")
    subscribed(MONDAY + HOUR, cadence="daily")
    world.run(MONDAY + 2 * HOUR, "lee")
    world.sweep(MONDAY + DAY)
    assert logins() == [["lee"]]


def test_digests_obey_the_filter_and_excluded_users_are_counted(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily", filter={"departments": ["Sales"]})
    world.run(MONDAY, "kim")
    world.sweep(MONDAY)
    (delivery,) = Delivery.objects.all()
    assert (delivery.state, delivery.users) == ("skipped", 1)


def test_from_daily_to_each_run_what_was_collected_is_sent_at_once(world, subscribed):
    one = subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY - HOUR / 2, "kim")
    services.change_subscription(one, cadence="immediately")
    assert logins() == [["kim"]]
    world.run(MONDAY, "lee")
    assert [event["detail"]["usersFailing"] for event in events(event__origin="run")] == [["lee"]]
    services.change_subscription(one, cadence="daily")
    world.run(MONDAY + HOUR, "max")
    world.sweep(MONDAY + DAY)
    assert logins() == [["kim"], ["max"]], "users that the run sent are not sent again"


def test_the_sweep_plans_what_is_due(world, subscribed, queued_tasks):
    subscribed(MONDAY - HOUR, cadence="daily")
    world.run(MONDAY, "kim")
    world.at(MONDAY + 2 * HOUR)
    assert tasks.sweep() == "swept"
    assert logins() == [["kim"]]


def test_a_list_can_wait_for_those_who_still_fail_days_later(world, subscribed):
    subscribed(MONDAY - HOUR, after_days=3)
    world.run(MONDAY, "kim", "lee")
    world.run(MONDAY + DAY, cured=["lee"])
    assert world.sweep(MONDAY + 3 * DAY - HOUR) == 0
    assert world.sweep(MONDAY + 3 * DAY) == 1
    assert logins() == [["kim"]]
    assert world.sweep(MONDAY + 4 * DAY) == 0


# --- Resolved events --------------------------------------------------------------------------------
def resolved():
    return [event["detail"] for event in events(event__origin="resolved")]


def test_resolved_findings_are_sent_only_where_the_option_is_set(world, subscribed):
    one = subscribed(MONDAY - HOUR)
    world.run(MONDAY, "kim", "lee", "max")
    world.run(MONDAY + HOUR, cured=["kim"])
    assert resolved() == []
    services.change_subscription(one, resolved=True)
    world.run(MONDAY + 2 * HOUR, cured=["lee"])
    (detail,) = resolved()
    assert detail["usersResolved"] == ["lee"]
    assert detail["stillFailing"] == 1
    assert detail["loginDetails"] == [
        {"login": "lee", "details": [{"key": "resolution", "value": '"cured"'}]}
    ]
    assert "usersFailing" not in detail


def test_a_second_plan_of_a_run_sends_no_resolved_event_twice(world, subscribed, no_mfa):
    subscribed(MONDAY - HOUR, resolved=True)
    world.run(MONDAY, "kim")
    run = world.run(MONDAY + HOUR, "lee", cured=["kim"])
    assert check_events.plan(run, no_mfa) == 0
    assert sorted(event["detail-type"] for event in events()) == [
        "CHECK_RESOLVED", "FAILED_CHECK", "FAILED_CHECK",
    ]  # fmt: skip


def test_still_failing_counts_the_users_that_the_filter_matches(world, subscribed, failing_user):
    subscribed(MONDAY - HOUR, resolved=True, filter={"departments": ["Sales"]})
    world.users["kim"] = failing_user("kim", department="Sales")
    world.run(MONDAY, "kim", "lee")
    world.run(MONDAY + HOUR, cured=["kim"])
    (detail,) = resolved()
    assert (detail["usersResolved"], detail["stillFailing"]) == (["kim"], 0)


def test_a_digest_sends_as_resolved_only_findings_that_it_had_sent(world, subscribed):
    subscribed(MONDAY - HOUR, cadence="daily", resolved=True)
    world.run(MONDAY - HOUR / 2, "kim", "old")
    world.sweep(MONDAY)
    world.run(MONDAY + HOUR, "brief", cured=["kim"])
    world.run(MONDAY + 2 * HOUR, cured=["brief", "old"])
    world.run(MONDAY + 3 * HOUR, "old")
    world.sweep(MONDAY + DAY)
    assert [detail["usersResolved"] for detail in resolved()] == [["kim"]], (
        "not who came and went, or relapsed"
    )
    assert logins() == [["kim", "old"], ["old"]]


@pytest.mark.parametrize("kind", ["pagerduty", "jira"])
def test_kinds_that_close_something_close_it_when_nobody_fails_any_more(world, no_mfa, kind):
    from integrations.services import save_integration

    documents = {
        "pagerduty": {"routing_key": "k" * 32},
        "jira": {
            "url": "https://example.atlassian.net", "email": "a@example.com", "api_token": "t", "project": "SEC",
        },
    }  # fmt: skip
    world.at(MONDAY - HOUR)
    target = save_integration(name=kind, kind=kind, document=documents[kind]).integration
    services.subscribe(no_mfa, target, resolved=True)
    world.run(MONDAY, "kim", "lee")
    world.run(MONDAY + HOUR, cured=["kim"])
    world.run(MONDAY + 2 * HOUR, cured=["lee"])
    bodies = [json.loads(bytes(each.body)) for each in Delivery.objects.order_by("created_at")]
    expected = {"pagerduty": ["trigger", "none", "resolve"], "jira": ["fail", "note", "resolve"]}
    assert [body.get("event_action") or body["do"] for body in bodies] == expected[kind]


def test_a_whole_run_sends_resolved_findings(no_mfa, failing_user, webhook, queued_tasks):
    services.subscribe(no_mfa, webhook(), resolved=True)
    kim = failing_user("kim@example.com")
    services.run_and_notify(trigger="command", slugs=("no-mfa",))
    User.objects.filter(pk=kim.pk).update(no_mfa_since=None, no_mfa_latest=None, has_mfa=True)
    services.run_and_notify(trigger="command", slugs=("no-mfa",))
    assert [event["detail-type"] for event in events()] == ["FAILED_CHECK", "CHECK_RESOLVED"]
    assert Check.objects.get(slug="no-mfa").findings.get().resolution == "cured"
