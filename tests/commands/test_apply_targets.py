"""What a configuration file says of a check's targets: for which users, how often, about what; and the quiet hours."""

from datetime import time

import pytest

from cii_project.configuration import ConfigurationErrors, apply_config
from cii_project.configuration.reading import parse_document
from notifications.models import Configuration, Subscription
from tests.console.checks_world import check_of, webhook

pytestmark = pytest.mark.django_db

TARGETS = """
checks:
  no-mfa:
    targets:
      - name: soar
        audience: user
        filter: {severity: high, departments: [Finance], user_types: [internal], tags: [pci]}
        cadence: daily
        resolved: true
        after_days: 2
        remind_days: 7
"""


def apply(text):
    return apply_config(parse_document(text, as_json=False), {})


@pytest.fixture(autouse=True)
def soar(db):
    check_of()
    return webhook("soar")


def test_all_options_are_set_and_a_second_time_changes_nothing():
    assert apply(TARGETS).changes == [
        "check no-mfa: target soar on (user)",
        "check no-mfa: target soar (user): after_days, cadence, filter, remind_days, resolved",
    ]
    one = Subscription.objects.get()
    assert one.filter == {
        "severity": "high", "departments": ["Finance"], "user_types": ["internal"], "tags": ["pci"],
    }  # fmt: skip
    assert (one.cadence, one.resolved, one.after_days, one.remind_days) == ("daily", True, 2, 7)
    assert apply(TARGETS).changes == []


def test_options_that_are_not_named_stay():
    apply(TARGETS)
    apply("checks: {no-mfa: {targets: [{name: soar, audience: user, cadence: weekly, filter: {}}]}}")
    one = Subscription.objects.get()
    assert (one.cadence, one.filter, one.remind_days) == ("weekly", {}, 7)


def test_each_mistake_is_named_by_its_path_and_nothing_is_changed():
    with pytest.raises(ConfigurationErrors) as caught:
        apply(
            "checks: {no-mfa: {targets: [{name: soar, cadence: hourly, filter: {severity: bad, color: [red]},"
            " after_days: -1, remind_days: 3}]}}"
        )
    path = "checks.no-mfa.targets[0]"
    assert set(caught.value.errors) == {
        f"{path}.cadence", f"{path}.filter.severity", f"{path}.filter.color", f"{path}.after_days",
        f"{path}.remind_days",
    }  # fmt: skip
    assert not Subscription.objects.exists()


def test_quiet_hours():
    apply('schedule: {quiet_from: "22:00", quiet_until: "07:00"}')
    row = Configuration.objects.get()
    assert (row.quiet_from, row.quiet_until) == (time(22), time(7))
    with pytest.raises(ConfigurationErrors, match="both quiet_from and quiet_until"):
        apply("schedule: {quiet_from: null}")
    apply("schedule: {quiet_from: null, quiet_until: null}")
    assert Configuration.objects.get().quiet_from is None
