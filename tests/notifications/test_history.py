"""Which messages spoke of one user, as the user's page lists them."""

from datetime import timedelta

import pytest

from checks.models import Finding
from notifications import history, services
from notifications.models import Configuration, Delivery
from tests.notifications.conftest import HOUR, MONDAY

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def names(user, most=20):
    findings = list(Finding.objects.filter(user=user))
    return [delivery.integration.name for delivery in history.last_deliveries(user, findings, most)]


def test_a_user_excluded_by_the_filter_is_in_no_delivery(world, subscribe, webhook, failing_user):
    subscribe(webhook("sales"), "list", filter={"departments": ["Sales"]})
    subscribe(webhook("all", "/all"), "list")
    kim = failing_user("kim@example.com", department="Sales")
    lee = failing_user("lee@example.com", department="Legal")
    max_ = failing_user("max@example.com", department="Sales")
    world.run(MONDAY, [("no-mfa", kim), ("no-mfa", lee), ("no-mfa", max_)])
    assert sorted(names(kim)) == sorted(names(max_)) == ["all", "sales"]
    assert names(lee) == ["all"]


def test_of_a_list_in_batches_the_one_that_names_the_user(world, subscribe, webhook, failing_user):
    Configuration.objects.update_or_create(defaults={"max_users_per_event": 2})
    subscribe(webhook(), "list")
    people = [failing_user(f"user{number}@example.com") for number in range(5)]
    world.run(MONDAY, [("no-mfa", user) for user in people])
    for number, user in enumerate(people):
        (delivery,) = history.last_deliveries(user, list(Finding.objects.filter(user=user)), 20)
        assert delivery.batch == number // 2 + 1
        assert user.name in bytes(Delivery.objects.get(pk=delivery.pk).body).decode()


def test_a_digest_and_a_resolved_message_are_listed(world, subscribe, webhook, failing_user):
    subscribe(webhook("weekly"), "list", slugs=["no-mfa"], cadence="weekly")
    subscribe(webhook("slow", "/slow"), "list", slugs=["no-mfa"], cadence="daily", after_days=9)
    subscribe(webhook("closing", "/closing"), "list", slugs=["no-mfa"], resolved=True)
    kim, lee = failing_user("kim@example.com"), failing_user("lee@example.com")
    world.sweep(MONDAY)
    world.run(MONDAY + HOUR, [("no-mfa", kim)])
    for day in range(1, 12):
        world.sweep(MONDAY + day * DAY)
    world.run(MONDAY + 12 * DAY, [("no-mfa", lee)], cured=[("no-mfa", kim)])
    assert names(kim) == ["closing", "slow", "weekly", "closing"]
    assert names(lee) == ["closing"]


def test_a_message_to_the_manager_about_several_users_is_listed(world, subscribe, mail, failing_user):
    subscribe(mail, "manager")
    boss = failing_user("boss@example.com")
    kim, lee = failing_user("kim@example.com", manager=boss), failing_user("lee@example.com", manager=boss)
    other = failing_user("other@example.com", manager=boss)
    world.run(MONDAY, [("no-mfa", kim), ("no-mfa", lee)])
    assert names(kim) == names(lee) == ["mail"]
    assert names(boss) == ["mail"], "it was sent to the boss"
    assert names(other) == []


def test_what_a_member_sent_is_listed(world, webhook, failing_user, checks, queued_tasks):
    kim, lee = failing_user("kim@example.com"), failing_user("lee@example.com")
    world.run(MONDAY, [("no-mfa", kim)])
    world.at(MONDAY + DAY)
    services.send_current(checks["no-mfa"], webhook("by hand"))
    world.run(MONDAY + 2 * DAY, [("no-mfa", lee)])
    assert names(kim) == ["by hand"]
    assert names(lee) == []


def test_the_newest_of_more_than_are_asked_for(world, subscribe, webhook, failing_user):
    subscribe(webhook("first"), "list", slugs=["no-mfa"])
    subscribe(webhook("second", "/second"), "list", slugs=["password-age"])
    kim = failing_user("kim@example.com")
    world.run(MONDAY, [("no-mfa", kim)])
    world.run(MONDAY + DAY, [("password-age", kim)])
    assert names(kim, 1) == ["second"]
    assert names(kim) == ["second", "first"]


def test_the_number_of_statements_does_not_grow(
    world, subscribe, webhook, failing_user, django_assert_max_num_queries
):
    target = webhook()
    subscribe(target, "list")
    kim = failing_user("kim@example.com")
    both = [("no-mfa", kim), ("password-age", kim)]
    for day in range(12):
        world.run(MONDAY + day * DAY, **{"cured" if day % 2 else "opened": both})
    findings = list(Finding.objects.filter(user=kim))
    with django_assert_max_num_queries(7):
        assert len(history.last_deliveries(kim, findings, 20)) == 12
