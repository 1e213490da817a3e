"""Which users a subscription is about: by the check's severity and tags, by the user's department and type."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from checks.models import Finding, Run
from notifications import services
from notifications.models import Delivery
from notifications.planning import check_events, filters

pytestmark = pytest.mark.django_db


@pytest.fixture
def findings(no_mfa, failing_user):
    def make(**people):
        """name=(department, user type)"""
        run = Run.objects.create(state="succeeded", trigger="command", started_at=timezone.now())
        for name, (department, user_type) in people.items():
            user = failing_user(f"{name}@example.com", department=department, user_type=user_type)
            Finding.objects.create(check_ref=no_mfa, user=user, opened_at=run.started_at, opened_run=run)
        return run

    return make


@pytest.fixture
def some(findings):
    return findings(
        kim=("Finance", "internal"), lee=("finance", "guest"), max=("Sales", "internal"), abe=("", "")
    )


def logins(target, **more):
    return [
        login.partition("@")[0]
        for delivery in Delivery.objects.filter(integration=target, body__isnull=False, **more).order_by(
            "batch"
        )
        for login in json.loads(bytes(delivery.body))["detail"]["usersFailing"]
    ]


def skipped(target):
    return Delivery.objects.filter(integration=target, state="skipped").values_list("users", "reason")


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({}, ["kim", "lee", "max", "abe"]),
        ({"departments": ["FINANCE"]}, ["kim", "lee"]),
        ({"user_types": ["internal"]}, ["kim", "max"]),
        ({"user_types": ["internal", "guest"], "departments": ["Finance", "Legal"]}, ["kim", "lee"]),
        ({"severity": "high", "departments": ["Sales"]}, ["max"]),
    ],
)
def test_only_users_that_the_filter_matches_are_sent(no_mfa, some, webhook, chosen, names):
    target = webhook()
    services.subscribe(no_mfa, target, filter=chosen)
    check_events.plan(some, no_mfa)
    assert logins(target) == names
    (delivery,) = Delivery.objects.filter(body__isnull=False)
    batch = json.loads(bytes(delivery.body))["detail"]["batch"]
    assert batch["totalUsers"] == delivery.users == len(names)
    left = 4 - len(names)
    assert [users for users, _ in skipped(target)] == ([left] if left else [])


def test_who_is_left_out_stands_on_record_with_the_reason(no_mfa, some, webhook):
    target = webhook()
    services.subscribe(no_mfa, target, filter={"departments": ["Finance"]})
    check_events.plan(some, no_mfa)
    assert list(skipped(target)) == [(2, "Excluded by the filter. Only department Finance.")]
    assert check_events.plan(some, no_mfa) == 0, "a second plan records nothing twice"


def test_each_target_has_its_own_filter_and_one_event_speaks_of_all(no_mfa, some, webhook):
    all_of_them, sales, nobody = webhook("all"), webhook("sales"), webhook("nobody")
    services.subscribe(no_mfa, all_of_them)
    services.subscribe(no_mfa, sales, filter={"departments": ["Sales"]})
    services.subscribe(no_mfa, nobody, filter={"departments": ["Legal"]})
    check_events.plan(some, no_mfa)
    assert (logins(all_of_them), logins(sales), logins(nobody)) == (["kim", "lee", "max", "abe"], ["max"], [])
    events = {json.loads(bytes(d.body))["detail"]["id"] for d in Delivery.objects.filter(body__isnull=False)}
    assert len(events) == 1
    assert Delivery.objects.first().event.users == 4


@pytest.mark.parametrize(
    ("chosen", "tags", "said"),
    [
        ({"severity": "critical"}, [], ""),
        ({"tags": ["PCI", "soc2"]}, ["pci"], ""),
        ({"tags": ["soc2"]}, ["pci"], "none of the tags soc2"),
    ],
)
def test_a_check_is_chosen_by_severity_and_by_any_of_its_tags(no_mfa, some, webhook, chosen, tags, said):
    target = webhook()
    no_mfa.tags = tags
    no_mfa.save()
    services.subscribe(no_mfa, target, filter=chosen)
    check_events.plan(some, no_mfa)
    assert bool(logins(target)) is not bool(said)
    assert all(said in reason for _, reason in skipped(target))


def test_a_check_below_the_filters_severity_sends_nothing(no_mfa, some, webhook):
    no_mfa.severity = "medium"
    no_mfa.save()
    target = webhook()
    services.subscribe(no_mfa, target, filter={"severity": "high"})
    check_events.plan(some, no_mfa)
    reason = "Excluded by the filter. The check is medium; this target is notified from high on."
    assert list(skipped(target)) == [(4, reason)]
    assert logins(target) == []


def test_direct_messages_obey_the_filter_too(no_mfa, some, webhook):
    services.subscribe(no_mfa, webhook(), "user", filter={"departments": ["Sales"]})
    check_events.plan(some, no_mfa)
    assert [d.recipient.name for d in Delivery.objects.filter(recipient__isnull=False)] == ["max@example.com"]


def test_sending_the_current_ones_obeys_the_filter(no_mfa, some, webhook, queued_tasks):
    target = webhook()
    services.subscribe(no_mfa, target, filter={"departments": ["Sales"]})
    services.send_current(no_mfa, target)
    assert logins(target) == ["max"]
    services.subscribe(no_mfa, target, filter={"departments": ["Legal"]})
    assert services.send_current(no_mfa, target) is None


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"severity": "urgent"}, "filter.severity"),
        ({"departments": "Finance"}, "filter.departments"),
        ({"departments": ["a\nb"]}, "filter.departments"),
        ({"departments": [str(n) for n in range(101)]}, "filter.departments"),
        ({"user_types": ["robot"]}, "filter.user_types"),
        ({"tags": ["a,b"]}, "filter.tags"),
        ({"country": ["DE"]}, "filter.country"),
        ("Finance", "filter"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_at_its_key(no_mfa, webhook, given, key):
    with pytest.raises(ValidationError) as caught:
        services.subscribe(no_mfa, webhook(), filter=given)
    assert list(caught.value.message_dict) == [key]
    assert not no_mfa.subscriptions.exists()


def test_a_filter_keeps_only_what_it_narrows():
    given = {"severity": "", "tags": [], "departments": [" Sales ", "sales", ""], "user_types": None or []}
    assert filters.clean_filter(given) == {"departments": ["Sales"]}
    assert filters.describe_filter({"severity": "high", "tags": ["pci"], "user_types": ["guest"]}) == (
        "severity high or worse, tagged pci, guest"
    )


def test_changing_a_filter_is_on_record(no_mfa, webhook, administrator):
    from cii_project.audit.models import AuditEntry

    target = webhook()
    one = services.subscribe(no_mfa, target)
    assert services.change_subscription(one, filter={"severity": "high"}) is True
    assert services.change_subscription(one, filter={"severity": "high"}) is False
    assert AuditEntry.objects.latest("id").text == "Target “soar” (list): changed filter."
