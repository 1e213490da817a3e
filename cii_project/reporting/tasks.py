"""The task of the queue that sends the report. It may be lost or run twice: the database says what is due."""

import logging
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from cii_project.reporting.mail import send_report
from notifications.models import Configuration
from notifications.services import latest_report_time

log = logging.getLogger(__name__)


def send_due_report(now: datetime | None = None) -> str:
    """Each hour: send the report whose time has come, once. If no mail is accepted, the next hour tries again."""
    now = now or timezone.now()
    configuration = Configuration.load()
    slot = latest_report_time(configuration, now)
    if slot is None:
        return "no report is set up"
    unsent = Configuration.objects.filter(Q(report_slot=None) | Q(report_slot__lt=slot), pk=configuration.pk)
    if not unsent.update(report_slot=slot):
        return "not due"
    sent = send_report(configuration, now)
    if not sent:
        Configuration.objects.filter(pk=configuration.pk, report_slot=slot).update(
            report_slot=configuration.report_slot
        )
    log.info("Report sent by e-mail", extra={"mails": sent})
    return f"{sent} mails"
