"""A dead letter that could not be written can be replayed when its target is mended."""

import json

import pytest
from django.utils import timezone

from checks.models import Finding, Run
from integrations.services import save_integration
from integrations.targets.webhook.kind import Webhook
from notifications import services
from notifications.models import Delivery
from notifications.planning import check_events

pytestmark = pytest.mark.django_db
# Sound for every sample, so that it can be saved; not for kim.
BAD = '{% if detail.login contains "kim" or detail.usersFailing contains "kim@x.org" %}oops{% else %}{}{% endif %}'
GOOD = '{"who": {{ users | map: "login" | json }}}'


@pytest.fixture
def plan(no_mfa, failing_user):
    def make(*names):
        run = Run.objects.create(state="succeeded", trigger="command", started_at=timezone.now())
        for name in names:
            Finding.objects.create(
                check_ref=no_mfa, user=failing_user(name), opened_at=timezone.now(), opened_run=run
            )
        check_events.plan(run, no_mfa)

    return make


@pytest.fixture
def target(webhook, monkeypatch):
    """A webhook whose template, saved by an earlier version of us, fails on kim."""
    monkeypatch.setattr("integrations.targets.webhook.bodies.check_template", lambda _: None)
    return webhook(document={"body": {"template": BAD}})


def mend(target, template=GOOD):
    document = {
        "url": target.settings["url"],
        "authorization": {"type": "api_key", "name": "x-token", "value": "sesame"},
        "body": {"template": template},
    }
    save_integration(name=target.name, kind="webhook", document=document, integration=target)


@pytest.mark.parametrize("audience", ["list", "user"])
def test_it_keeps_its_event_and_is_sent_in_the_corrected_shape(no_mfa, plan, target, audience, queued_tasks):
    services.subscribe(no_mfa, target, audience)
    plan("kim@x.org")
    delivery = Delivery.objects.get()
    assert delivery.state == "dead"
    assert delivery.reason.startswith("The message could not be made: The template renders no valid JSON")
    with pytest.raises(services.ReplayRefused, match="renders no valid JSON"):
        services.replay(delivery)
    mend(target)
    delivery = Delivery.objects.get()
    services.replay(delivery)
    assert (delivery.state, delivery.content_type) == ("due", "application/json; charset=utf-8")
    assert json.loads(bytes(delivery.body)) == {"who": ["kim@x.org"]}


def test_many_are_replayed_but_for_those_that_still_cannot_be_written(no_mfa, plan, target, queued_tasks):
    services.subscribe(no_mfa, target, "user")
    plan("kim@x.org", "kim2@x.org", "lee@x.org")
    assert Delivery.objects.filter(state="dead").count() == 2
    mend(target, BAD.replace('"kim"', '"kim@"'))
    assert services.replay_matching(Delivery.objects.filter(state="dead")) == 1
    kim, kim2, _ = Delivery.objects.order_by("batch")
    assert (kim.state, kim2.state, bytes(kim2.body)) == ("dead", "due", b"{}")


def test_what_would_be_too_large_is_refused(no_mfa, plan, target, monkeypatch):
    services.subscribe(no_mfa, target)
    plan("kim@x.org")
    mend(target)
    monkeypatch.setattr(Webhook, "max_bytes", 10)
    with pytest.raises(services.ReplayRefused, match="over the 10"):
        services.replay(Delivery.objects.get())


def test_one_without_its_bytes_can_no_longer_be_replayed(no_mfa, plan, target):
    services.subscribe(no_mfa, target)
    plan("kim@x.org")
    Delivery.objects.update(body=None)
    with pytest.raises(services.ReplayRefused, match="no longer kept"):
        services.replay(Delivery.objects.get())


def test_a_template_that_needs_a_user_is_cut_by_bytes_all_the_same(no_mfa, plan, target, monkeypatch):
    mend(
        target,
        '{"who": {{ users | map: "login" | json }}, "first": {{ users[0].login | upcase | json }}{% if users == empty %}oops{% endif %}}',
    )
    monkeypatch.setattr(Webhook, "max_bytes", 150)
    services.subscribe(no_mfa, target)
    plan(*(f"user{number}@example.com" for number in range(9)))
    batches = Delivery.objects.order_by("batch")
    assert [each.state for each in batches] == ["due"] * len(batches)
    named = [name for each in batches for name in json.loads(bytes(each.body))["who"]]
    assert named == [f"user{number}@example.com" for number in range(9)]
