"""The report as a mail: the figures of one period in the product's mail layout, to each recipient alone."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.core.mail import EmailMultiAlternatives, get_connection
from django.urls import reverse

from cii_project.reporting.report import GroupLine, Period, ReportFigures, report
from integrations.services import (
    DEFAULT_ACCENT,
    MailParts,
    MessageFrame,
    Translator,
    inert,
    mail_parts,
    translator_for,
)
from notifications.models import Configuration, ReportPeriod
from notifications.services import console_address, report_addresses

log = logging.getLogger(__name__)
SHOWN = 5


def reported_period(configuration: Configuration, now: datetime) -> Period:
    """The last seven whole days, or the last whole month, in the installation's zone."""
    zone = ZoneInfo(configuration.run_zone)
    today = now.astimezone(zone).date()
    if configuration.report_every == ReportPeriod.MONTHLY:
        last = today.replace(day=1) - timedelta(days=1)
        return Period(last.replace(day=1), last, zone)
    return Period(today - timedelta(days=7), today - timedelta(days=1), zone)


def report_mail(configuration: Configuration, period: Period) -> tuple[str, MailParts]:
    """Subject and parts of the mail about a period, in the installation's language."""
    translate = translator_for(configuration.language)
    found = report(period)
    days = translate.interval(period.first, period.last)
    length = translate.plural("{count} day", "{count} days", period.days)
    lines = [f"{length} ({period.zone.key})", "", *_figures(found, translate)]
    worst = sorted((one for one in found["lines"] if one.line.after), key=lambda one: -one.line.after)[:SHOWN]
    if worst:
        heading = translate("Most open findings")
        lines += ["", f"**{heading}**"]
        lines += [
            f"- {translate(one.line.title)} ({translate(one.severity)}): "
            f"{_change(one.line.before, one.line.after, translate)}"
            for one in worst
        ]
    departments: list[GroupLine] = [one for one in found["departments"] if one.failing_users][:SHOWN]
    if departments:
        heading = translate("Departments with most failing users")
        lines += ["", f"**{heading}**"]
        for one in departments:
            # A department's name comes from a source: nothing in it is Markdown, and it is not translated.
            name = inert(one.title) if one.is_named else translate(one.title)
            failing, users = translate.number(one.failing_users), translate.number(one.users)
            share = translate("{failing} of {users}", failing=_bold(failing), users=users)
            lines.append(f"- {name}: {share}")
    url = _page(configuration, period)
    if url:
        label = translate("Open the report")
        lines += ["", f"{label}: {url}"]
    frame = MessageFrame(
        language=configuration.language,
        organization=configuration.tenant_name,
        logo_url=configuration.logo_url,
        accent=configuration.accent_colour or DEFAULT_ACCENT,
        instructions_url=url,
        footer=translate(
            "You get this mail because an administrator of the identity checks named you as a recipient of the report."
        ),
    )
    headline = translate("Identity checks: {days}", days=days)
    return headline, mail_parts(headline, "\n".join(lines), frame)


def _figures(found: ReportFigures, translate: Translator) -> Iterator[str]:
    """The figures of the whole installation, a list item each."""
    number = translate.number
    total = found["total"]
    score = _change(found["score_before"], found["score_after"], translate, of=translate("of 100"))
    yield "- " + translate("Posture score: {score}", score=score)
    after, before = found["users_after"], found["users_before"]
    if after:
        share = translate(
            "{failing} of {users}", failing=_bold(number(after.failing)), users=number(after.users)
        )
        since = _since(before.failing if before else None, share, translate)
        yield "- " + translate("Failing users: {failing}", failing=since)
    findings = _change(total.before, total.after, translate)
    yield "- " + translate("Open findings: {findings}", findings=findings)
    yield "- " + translate(
        "Opened: {opened}; no longer failing: {ended}, {cured} of them cured",
        opened=_bold(number(total.opened)),
        ended=_bold(number(total.ended)),
        cured=number(found["cured"]),
    )
    if found["median"] is not None and found["slowest"] is not None:
        yield "- " + translate(
            "Time to cure: median {median}, nine of ten within {slowest}",
            median=_bold(_days(found["median"], translate)),
            slowest=_days(found["slowest"], translate),
        )
    if total.coverage is not None:
        yield "- " + translate(
            "Coverage: {percent} of the evaluations had the data; {unknown} did not",
            percent=_bold(f"{total.coverage} %"),
            unknown=number(total.unknown),
        )


def send_report(configuration: Configuration, now: datetime) -> int:
    """Send the report of the last period to each recipient alone; returns how many mails were accepted."""
    subject, parts = report_mail(configuration, reported_period(configuration, now))
    sent = 0
    for address in report_addresses(configuration):
        message = EmailMultiAlternatives(subject, parts.text, None, [address], connection=get_connection())
        message.attach_alternative(parts.html, "text/html")
        try:
            sent += message.send()
        except Exception:
            log.exception("The report could not be sent to a recipient")
    return sent


def _page(configuration: Configuration, period: Period) -> str:
    base = console_address(configuration)
    query = urlencode({"from": period.first.isoformat(), "to": period.last.isoformat()})
    return f"{base}{reverse('console:report')}?{query}" if base else ""


def _change(before: int | None, after: int | None, translate: Translator, *, of: str = "") -> str:
    """“54 of 100, 60 at the start”, in Markdown."""
    if after is None:
        return translate("nothing could be evaluated")
    return _since(before, f"{_bold(translate.number(after))} {of}".rstrip(), translate)


def _since(before: int | None, now: str, translate: Translator) -> str:
    if before is None:
        return now
    return translate("{now}, {before} at the start", now=now, before=translate.number(before))


def _bold(text: str) -> str:
    return f"**{text}**"


def _days(days: float, translate: Translator) -> str:
    return (
        translate.plural("{count} day", "{count} days", round(days))
        if days >= 1
        else translate("under 1 day")
    )
