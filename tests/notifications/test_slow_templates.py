"""A saved template that is slow, or becomes so on real data, cannot freeze a run: planning goes on without it."""

import json
import time

import pytest
from django.utils import timezone

from checks.models import Finding, Run
from notifications import services
from notifications.models import Delivery, MessageTemplate
from notifications.planning import check_events
from tests.integrations.test_template_process import SEARCH
from tests.notifications.conftest import MONDAY

pytestmark = pytest.mark.django_db
USERS = 40
# Some hundredths of a second for each message, which is more than an event's many messages may take.
SLOW = (
    "{% assign s = 'ab' %}" + "{% assign s = s | append: s %}" * 16 + "{% for i in (1..40) %}" + SEARCH + "{% endfor %}"
)  # fmt: skip
ENDLESS = SLOW + "{% for i in (1..30000) %}" + SEARCH + "{% endfor %}"


@pytest.fixture
def run(no_mfa, failing_user, monkeypatch):
    monkeypatch.setattr(check_events, "TEMPLATE_SECONDS", 0.3)
    run = Run.objects.create(state="succeeded", trigger="command", started_at=timezone.now())
    for number in range(USERS):
        user = failing_user(f"user{number}@example.com")
        Finding.objects.create(check_ref=no_mfa, user=user, opened_at=timezone.now(), opened_run=run)
    return run


def planned(run, check):
    began = time.thread_time()
    check_events.plan(run, check)
    assert time.thread_time() - began < 3
    return list(Delivery.objects.order_by("batch"))


@pytest.mark.parametrize("text", [SLOW, ENDLESS], ids=["slow", "endless"])
def test_messages_to_people_fall_back_to_the_default_and_say_why(run, no_mfa, webhook, text):
    target = webhook()
    services.subscribe(no_mfa, target, "user")
    MessageTemplate.objects.create(check_ref=no_mfa, kind="webhook", audience="user", text=text + "mine")
    made = planned(run, no_mfa)
    assert len(made) == USERS
    last = made[-1]
    assert "has taken longer than 0.34 seconds" in last.message_error
    assert json.loads(bytes(last.body))["detail"]["message"].startswith("Hello User39")
    assert not [delivery for delivery in made if delivery.state == "dead"]


@pytest.mark.parametrize("text", [SLOW, ENDLESS], ids=["slow", "endless"])
def test_a_body_that_takes_too_long_is_a_dead_letter_that_says_why(run, no_mfa, webhook, text):
    target = webhook()
    target.settings["body"] = {"template": text + "{}", "users_per_request": 1}
    target.save()
    services.subscribe(no_mfa, target)
    made = planned(run, no_mfa)
    assert len(made) == USERS
    assert made[-1].state == "dead"
    assert "has taken longer than 0.34 seconds" in made[-1].reason


def test_one_template_does_not_use_up_the_time_of_another(run, no_mfa, webhook):
    slow, quick = webhook("slow"), webhook("quick", "/quick")
    slow.settings["body"] = {"template": ENDLESS + "{}", "users_per_request": 1}
    slow.save()
    quick.settings["body"] = {
        "template": '{"users": {{ detail.usersFailing | json }}}',
        "users_per_request": 1,
    }
    quick.save()
    for target in (slow, quick):
        services.subscribe(no_mfa, target)
    made = planned(run, no_mfa)
    assert {one.state for one in made if one.integration_id == quick.id} == {"due"}


def test_digests_to_people_are_bounded_too(world, subscribe, checks, failing_user, webhook, monkeypatch):
    monkeypatch.setattr(check_events, "TEMPLATE_SECONDS", 0.3)
    MessageTemplate.objects.create(check_ref=checks["no-mfa"], kind="webhook", audience="user", text=ENDLESS)
    subscribe(webhook(), slugs=["no-mfa"], cadence="daily")
    opened = [("no-mfa", failing_user(f"user{number}@example.com")) for number in range(USERS)]
    began = time.thread_time()
    assert world.run(MONDAY, opened) == USERS
    assert time.thread_time() - began < 3
    assert "has taken longer than 0.3 seconds" in Delivery.objects.order_by("batch").last().message_error
