"""Changes of the installation's own settings and schedules."""

from collections.abc import Mapping
from datetime import datetime, time

from django.db import transaction
from django.utils import timezone

from cii_project.audit import services as audit
from notifications.models import Configuration, validate_zone
from notifications.planning import clock_repair, schedule
from notifications.validators import addresses_of


def install_schedules(now: datetime | None = None) -> None:
    """Create or repair the queue's schedules, after the stored times if the clock was set back. Idempotent."""
    now = now or timezone.now()
    if not clock_repair.repair_if_set_back(now):
        schedule.create_schedules(now)


def update_schedule(at: time, zone: str) -> None:
    """Run the checks at this time of day in this zone. Raises ``ValidationError`` for an unknown zone."""
    validate_zone(zone)
    configuration = Configuration.load()
    before = {"run time": configuration.run_time, "run zone": configuration.run_zone}
    if tuple(before.values()) == (at, zone):
        return
    with transaction.atomic():
        configuration.run_time, configuration.run_zone = at, zone
        configuration.save(update_fields=["run_time", "run_zone"])
        schedule.reset(timezone.now())
        text, after = f"The checks run at {at:%H:%M} {zone}.", {"run time": at, "run zone": zone}
        audit.record(audit.Action.CHANGE, configuration, text, before=before, after=after)


def update_configuration(values: Mapping[str, object]) -> None:
    """Store cleaned values of the installation's settings, by field; :func:`update_schedule` sets the daily time."""
    with transaction.atomic():
        configuration = Configuration.load()
        before, after = audit.changes({name: getattr(configuration, name) for name in values}, values)
        if not after:
            return
        for name, value in after.items():
            setattr(configuration, name, value)
        stored = [*after]
        if {"report_every", "report_recipients"} & after.keys():
            # The first report is about the first whole period from now on.
            configuration.report_slot = schedule.latest_report_time(configuration, timezone.now())
            stored.append("report_slot")
        configuration.save(update_fields=stored)
        text = f"Changed {', '.join(name.replace('_', ' ') for name in sorted(after))}."
        audit.record(audit.Action.CHANGE, configuration, text, before=before, after=after)


def report_addresses(configuration: Configuration) -> list[str]:
    """The e-mail addresses that get the report."""
    return addresses_of(configuration.report_recipients)
