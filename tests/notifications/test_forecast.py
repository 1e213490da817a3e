"""A dry run lists who would be told what; a run then tells exactly those."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from checks.models import Check, Finding, Run
from integrations.services import save_integration
from notifications import services
from notifications.forecast import forecast
from notifications.models import Delivery, Event

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


def test_who_would_be_told_what(world, bells):
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


def test_the_run_tells_exactly_those_and_afterwards_there_is_nobody_left(world, bells):
    expected = by_target()
    services.run_and_notify(trigger="command", slugs=SLUGS)
    told = Delivery.objects.filter(state="due", integration__name="mail")
    assert {(each.audience, each.recipient.name) for each in told} == {
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
    with pytest.raises(CommandError, match="--who goes with --dry-run"):
        call_command("run_checks", "--who")
