"""A dry run lists the deliveries; a run then makes exactly these."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Q
from django.db.models.expressions import RawSQL

from checks.models import Check, Finding, Run
from checks.services import CATALOGUE
from integrations.services import save_integration
from notifications import services
from notifications.models import Configuration, Delivery, Event, Subscription
from notifications.planning.forecast import forecast

pytestmark = pytest.mark.django_db

SLUGS = ("no-mfa", "no-manager")


@pytest.fixture
def mail(db):
    document = {"host": "127.0.0.1", "port": 2525, "security": "none", "sender": "checks@example.com"}
    return save_integration(name="mail", kind="email", document=document).integration


@pytest.fixture
def world(no_mfa, failing_user, webhook, mail):
    boss = failing_user("boss@example.com", department="Board", manager_given=True, nhi=True)
    failing_user("kim@example.com", department="Sales", manager=boss, manager_given=False)
    failing_user("lee@example.com", department="Legal", manager_given=True)
    for slug in SLUGS:
        services.subscribe(Check.objects.get(slug=slug), mail, "user")
    services.subscribe(no_mfa, mail, "manager")
    services.subscribe(no_mfa, webhook("soar"), filter={"departments": ["Sales"]})
    services.subscribe(no_mfa, webhook("siem", "/siem"), cadence="daily")


def by_target():
    return {
        (each.target, *each.audiences, each.recipient): (each.checks, each.users, each.skipped, each.left_out)
        for each in forecast(SLUGS)
    }


def test_the_forecast_lists_each_delivery(world, queued_tasks):
    assert by_target() == {
        ("mail", "user", "kim@example.com"): (("no-manager", "no-mfa"), ("kim@example.com",), "", 0),
        ("mail", "user", "lee@example.com"): (("no-mfa",), ("lee@example.com",), "", 0),
        ("mail", "manager", "boss@example.com"): (("no-mfa",), ("kim@example.com",), "", 0),
        ("mail", "manager", ""): (
            ("no-mfa",), ("lee@example.com",), "The manager of lee@example.com is unknown.", 0,
        ),
        ("soar", "list", ""): (("no-mfa",), ("kim@example.com",), "", 1),
        ("siem", "list", ""): (("no-mfa",), ("kim@example.com", "lee@example.com"), "", 0),
    }  # fmt: skip
    assert Run.objects.count() == Finding.objects.count() == Event.objects.count() == 0


def test_the_run_sends_what_was_forecast_and_nothing_is_left(world, queued_tasks):
    expected = by_target()
    services.run_and_notify(trigger="command", slugs=SLUGS)
    sent = Delivery.objects.filter(state="due", integration__name="mail")
    assert {(each.audience, each.recipient.name) for each in sent} == {
        (audience, recipient) for target, audience, recipient in expected if target == "mail" and recipient
    }
    assert Delivery.objects.get(integration__name="soar", state="due").users == 1
    assert forecast(SLUGS) == []


def test_the_command_lists_them(world):
    out = StringIO()
    call_command("run_checks", *SLUGS, "--dry-run", "--who", "--format", "json", stdout=out)
    who = json.loads(out.getvalue())["who"]
    assert {each["when"] for each in who} == {"after the run", "daily digest"}
    assert ["kim@example.com"] in [each["users"] for each in who]
    out = StringIO()
    call_command("run_checks", *SLUGS, "--dry-run", "--who", stdout=out)
    assert "boss@example.com" in out.getvalue()
    with pytest.raises(CommandError, match="--who needs --dry-run"):
        call_command("run_checks", "--who")


# --- The numbers before a run ---------------------------------------------------------------------------
def estimated(slugs=SLUGS):
    found = services.estimate_run(slugs)
    return found.new, {
        (one.integration.name, one.audience): (one.users, one.recipients, one.when) for one in found.targets
    }


def test_the_numbers_before_a_run_count_each_user_once_for_each_target(world, queued_tasks):
    new, targets = estimated()
    assert new == 2
    assert targets == {
        # kim fails both checks and is one user
        ("mail", "user"): (2, 2, "after the run"),
        # lee's manager is unknown
        ("mail", "manager"): (2, 1, "after the run"),
        ("soar", "list"): (1, 0, "after the run"),
        ("siem", "list"): (2, 0, "daily digest"),
    }
    assert Run.objects.count() == Finding.objects.count() == Event.objects.count() == 0


def test_after_the_run_nobody_would_be_notified_again(world, queued_tasks):
    before, _ = estimated()
    run = services.run_and_notify(trigger=Run.Trigger.COMMAND, slugs=SLUGS)
    assert before == Finding.objects.filter(opened_run=run).values("user").distinct().count()
    new, targets = estimated()
    assert new == 0
    assert {users for users, _, _ in targets.values()} == {0}


def test_the_numbers_are_those_of_the_checks_that_were_asked_for(world, queued_tasks):
    new, targets = estimated(("no-manager",))
    assert new == 1
    assert targets == {("mail", "user"): (1, 1, "after the run")}


def test_a_check_that_the_filter_excludes_counts_nobody(world, queued_tasks):
    Subscription.objects.filter(integration__name="soar").update(filter={"tags": ["pci"]})
    assert ("soar", "list") not in estimated()[1]


def test_a_check_that_cannot_be_evaluated_is_named_and_hides_no_other(world, queued_tasks, monkeypatch):
    broken = Q(created_at__lt=RawSQL("no_such_function(1)", ()))
    monkeypatch.setattr(CATALOGUE["no-manager"], "fails", lambda *_: broken)
    found = services.estimate_run(SLUGS)
    assert found.failed == ["no-manager"]
    assert found.new == 2


def test_direct_messages_beyond_the_limits_are_announced_as_held(world, queued_tasks):
    configuration = Configuration.load()
    assert services.estimate_run(SLUGS).exceeded == []
    configuration.max_people_per_run = 2
    configuration.save()
    assert services.estimate_run(SLUGS).exceeded == ["2 people"]
