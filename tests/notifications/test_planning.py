"""Which events and deliveries a run leaves behind, and with which bytes."""

import json
import tracemalloc
from itertools import count
from tempfile import SpooledTemporaryFile
from uuid import UUID

import pytest
from django.utils import timezone

from checks.models import Finding, Run, User
from integrations import services as integrations
from integrations.targets.webhook.kind import Webhook
from notifications import services
from notifications.models import Configuration, Delivery, Event, MessageTemplate
from notifications.planning import check_events
from notifications.rendering.batch import ItemFile
from notifications.rendering.payloads import Item
from notifications.rendering.schema import validator

pytestmark = pytest.mark.django_db


@pytest.fixture
def findings(no_mfa, failing_user):
    """Makes a run with newly failing users, before anybody is notified."""
    numbers = count(1)

    def make(*users: User | str) -> Run:
        run = Run.objects.create(state="succeeded", trigger="command", started_at=timezone.now())
        for user in users:
            person = failing_user(user) if isinstance(user, str) else user
            Finding.objects.create(check_ref=no_mfa, user=person, opened_at=timezone.now(), opened_run=run)
        next(numbers)
        return run

    return make


def body(delivery):
    return json.loads(bytes(delivery.body))


def detail(delivery):
    return body(delivery)["detail"]


def test_each_target_gets_its_own_delivery_of_the_one_event(no_mfa, findings, webhook):
    first, second = webhook("soar"), webhook("siem", "/siem")
    services.subscribe(no_mfa, first)
    services.subscribe(no_mfa, second)
    run = findings("kim@example.com", "lee@example.com")
    assert check_events.plan(run, no_mfa) == 2
    event = Event.objects.get()
    assert event.users == 2
    one, two = Delivery.objects.order_by("integration_id")
    assert detail(one)["id"] == detail(two)["id"] == str(event.id)
    assert body(one)["id"] == str(one.id) != body(two)["id"]
    assert body(one)["source"].endswith(first.short_id)
    for delivery in (one, two):
        validator("FAILED_CHECK").validate(body(delivery))


def test_login_details_stand_in_the_order_of_users_failing_and_hold_json(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook())
    run = findings("zoe@example.com", "abe@example.com", "max")
    check_events.plan(run, no_mfa)
    found = detail(Delivery.objects.get())
    assert found["usersFailing"] == ["zoe@example.com", "abe@example.com", "max"]
    assert [item["login"] for item in found["loginDetails"]] == found["usersFailing"]
    tenant = Configuration.load().tenant_id
    for item in found["loginDetails"]:
        first = item["details"][0]
        assert first["key"] == "providersFailingChecks"
        (provider,) = json.loads(first["value"])
        assert provider.startswith(f"providerFailingCheck-no-mfa-{tenant}__OKTA__")
        assert all(json.loads(pair["value"]) is not None for pair in item["details"])


def test_a_second_plan_of_the_same_run_inserts_nothing(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook())
    run = findings("kim@example.com")
    assert check_events.plan(run, no_mfa) == 1
    assert check_events.plan(run, no_mfa) == 0
    assert Delivery.objects.count() == 1


def test_only_the_runs_own_findings_are_sent(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook())
    findings("old@example.com")
    run = findings("new@example.com")
    check_events.plan(run, no_mfa)
    assert detail(Delivery.objects.get())["usersFailing"] == ["new@example.com"]


def test_no_new_finding_no_event(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook())
    run = findings()
    assert check_events.plan(run, no_mfa) == 0
    assert not Event.objects.exists()


def test_a_long_list_is_split_by_users_and_none_is_lost(no_mfa, findings, webhook):
    configuration = Configuration.load()
    configuration.max_users_per_event = 3
    configuration.save()
    services.subscribe(no_mfa, webhook())
    names = [f"user{number}@example.com" for number in range(7)]
    run = findings(*names)
    check_events.plan(run, no_mfa)
    batches = Delivery.objects.order_by("batch")
    assert [detail(each)["batch"] for each in batches] == [
        {"index": index, "count": 3, "totalUsers": 7} for index in (1, 2, 3)
    ]
    assert [name for each in batches for name in detail(each)["usersFailing"]] == names
    assert [each.users for each in batches] == [3, 3, 1]


@pytest.mark.parametrize("message", [None, "{% for user in users %}{{ user.login }}, {% endfor %}"])
def test_a_list_is_split_by_its_real_bytes_too(no_mfa, findings, webhook, monkeypatch, message):
    monkeypatch.setattr(Webhook, "max_bytes", 5000)
    services.subscribe(no_mfa, webhook())
    if message:
        MessageTemplate.objects.create(check_ref=no_mfa, kind="webhook", text=message)
    names = [f"user{number}@example.com" for number in range(40)]
    check_events.plan(findings(*names), no_mfa)
    batches = list(Delivery.objects.order_by("batch"))
    assert all(len(bytes(each.body)) <= 5000 for each in batches)
    assert len(batches) == batches[0].batches > 3
    assert [name for each in batches for name in detail(each)["usersFailing"]] == names
    assert {each.state for each in batches} == {"due"}


def test_one_user_who_is_too_large_alone_is_a_dead_letter_with_the_reason(
    no_mfa, findings, webhook, monkeypatch
):
    monkeypatch.setattr(Webhook, "max_bytes", 500)
    services.subscribe(no_mfa, webhook())
    check_events.plan(findings("kim@example.com", "lee@example.com"), no_mfa)
    assert Delivery.objects.count() == 2
    for delivery in Delivery.objects.all():
        assert delivery.state == "dead"
        assert "over the 500" in delivery.reason


def test_a_paused_targets_deliveries_are_planned_and_wait(no_mfa, findings, webhook):
    target = webhook()
    services.subscribe(no_mfa, target)
    integrations.pause(target)
    check_events.plan(findings("kim@example.com"), no_mfa)
    assert Delivery.objects.get().state == "due"


def test_a_disabled_targets_deliveries_are_dead_letters_that_can_be_replayed(
    no_mfa, findings, webhook, queued_tasks
):
    target = webhook()
    services.subscribe(no_mfa, target)
    integrations.disable(target, "Gone.")
    check_events.plan(findings("kim@example.com"), no_mfa)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.reason) == ("dead", "The target is disabled. Gone.")
    with pytest.raises(services.ReplayRefused, match="disabled"):
        services.replay(delivery)
    integrations.resume(target)
    services.replay(delivery)
    assert delivery.state == "due"


def test_a_direct_message_goes_out_for_each_finding(no_mfa, findings, failing_user, webhook):
    services.subscribe(no_mfa, webhook(), "user")
    check_events.plan(findings("kim@example.com", "lee@example.com"), no_mfa)
    kim, lee = Delivery.objects.order_by("batch")
    for delivery, name in ((kim, "kim@example.com"), (lee, "lee@example.com")):
        validator("DIRECT_MESSAGE").validate(body(delivery))
        found = detail(delivery)
        assert found["login"] == name
        assert found["recipient"]["kind"] == "user"
        assert found["userTrustLevel"] == "UNTRUSTED"
        assert name in found["message"]
        assert delivery.recipient.name == name
        assert delivery.finding.user.name == name


def test_a_manager_who_is_unknown_is_a_recorded_skip(no_mfa, findings, failing_user, webhook):
    boss = failing_user("boss@example.com")
    led = failing_user("led@example.com", manager=boss)
    services.subscribe(no_mfa, webhook(), "manager")
    check_events.plan(findings(led, "alone@example.com"), no_mfa)
    sent, skipped = Delivery.objects.order_by("batch")
    assert detail(sent)["recipient"] == {
        "kind": "manager", "login": "boss@example.com", "email": "boss@example.com", "displayName": "Boss",
    }  # fmt: skip
    assert sent.recipient == boss
    assert (skipped.state, skipped.body) == ("skipped", None)
    assert skipped.reason == "The manager of alone@example.com is unknown."
    assert skipped.finished_at is not None


def test_a_customised_message_is_rendered_per_batch(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook())
    text = "{{ total }} fail {{ check.title }}: {{ users[0].login }}"
    services.save_message(no_mfa, "webhook", text)
    check_events.plan(findings("kim@example.com"), no_mfa)
    assert detail(Delivery.objects.get())["message"] == "1 fail No MFA Configured: kim@example.com"


def test_a_message_that_fails_when_it_is_sent_gives_way_to_the_default_and_that_is_on_record(
    no_mfa, findings, webhook
):
    services.subscribe(no_mfa, webhook())
    MessageTemplate.objects.create(check_ref=no_mfa, kind="webhook", text="{{ 1 | divided_by: 0 }}")
    check_events.plan(findings("kim@example.com"), no_mfa)
    delivery = Delivery.objects.get()
    assert detail(delivery)["message"].startswith(
        "These users can sign in with a password alone, without a second step."
    )
    assert "Line 1, column" in delivery.message_error
    assert delivery.state == "due"


def test_one_broken_target_does_not_stop_the_others(no_mfa, findings, webhook):
    broken, sound = webhook("broken"), webhook("sound", "/sound")
    services.subscribe(no_mfa, broken)
    services.subscribe(no_mfa, sound)
    broken.kind = "a-kind-of-another-version"
    broken.save()
    check_events.plan(findings("kim@example.com"), no_mfa)
    assert Delivery.objects.get(integration=broken).state == "dead"
    assert Delivery.objects.get(integration=sound).state == "due"


def test_the_link_is_there_only_where_somebody_said_how_people_reach_the_pages(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook())
    check_events.plan(findings("kim@example.com"), no_mfa)
    assert "referenceUrl" not in detail(Delivery.objects.get())
    Configuration.objects.update(base_url="https://cii.example.com/")
    run = findings("lee@example.com")
    check_events.plan(run, no_mfa)
    found = detail(Delivery.objects.get(event__run=run))
    assert found["referenceUrl"] == "https://cii.example.com/checks/no-mfa/"
    assert UUID(found["runId"]) == run.id


def test_the_link_follows_from_public_url_unless_the_settings_page_says_otherwise(
    no_mfa, findings, webhook, settings
):
    settings.PUBLIC_URL = "https://checks.example.com"
    services.subscribe(no_mfa, webhook())
    check_events.plan(findings("kim@example.com"), no_mfa)
    link = detail(Delivery.objects.get())["referenceUrl"]
    assert link == "https://checks.example.com/checks/no-mfa/"


def test_text_of_any_script_survives(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook())
    name = "zoë.\u2028\u202e<b>@example.com"
    check_events.plan(findings(name), no_mfa)
    assert detail(Delivery.objects.get())["usersFailing"] == [name]


def test_the_users_of_a_list_do_not_stay_in_memory():
    item = Item.of({"login": "k" * 100, "details": [{"key": "x", "value": '"' + "y" * 400 + '"'}]})
    with SpooledTemporaryFile(max_size=1000) as file:
        users = ItemFile(file)
        tracemalloc.start()
        for _ in range(20):
            users.add([item] * 1000, range(1000))
        read = sum(len(batch) for batch in users.batches([range(1000)] * 20))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert file.tell() > 10_000_000
        assert peak < 2_000_000
        assert read == len(users) == 20_000
        assert next(users.batches([range(2)])) == [item, item]


def test_a_target_may_ask_for_one_request_a_user(no_mfa, findings, webhook):
    services.subscribe(no_mfa, webhook(document={"body": {"users_per_request": 1}}))
    services.subscribe(no_mfa, webhook("siem", "/siem"))
    check_events.plan(findings("kim@example.com", "lee@example.com"), no_mfa)
    logins = [detail(each)["usersFailing"] for each in Delivery.objects.order_by("integration_id", "batch")]
    assert logins == [["kim@example.com"], ["lee@example.com"], ["kim@example.com", "lee@example.com"]]


def test_a_targets_own_body_goes_into_its_deliveries_and_one_that_fails_is_a_dead_letter_that_says_why(
    no_mfa, findings, webhook
):
    good = '{"who": {{ detail.usersFailing | json }}}'
    bad = '{% if detail.usersFailing contains "kim@example.org" %}oops{% else %}{}{% endif %}'
    services.subscribe(no_mfa, webhook(document={"body": {"template": good}}))
    services.subscribe(no_mfa, webhook("bad", "/bad", document={"body": {"template": bad}}))
    check_events.plan(findings("kim@example.org"), no_mfa)
    sound, broken = Delivery.objects.order_by("integration_id")
    assert body(sound) == {"who": ["kim@example.org"]}
    assert broken.state == "dead"
    assert broken.reason.startswith("The message could not be made: The template renders no valid JSON")
