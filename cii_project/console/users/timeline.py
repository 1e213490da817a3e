"""The events of one user, the newest first: created, joined, found, notified, reminded, cured, excluded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from checks.models import Account, Exclusion, Finding, JoinReason, User
from cii_project.console.core.console_view import page_url
from cii_project.console.core.titles import check_title, event_title
from cii_project.console.core.viewer_zone import last_day, shown_day
from notifications.models import Audience, Delivery
from notifications.services import findings_of

MOST_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """``kind``: created, joined, found, notified, reminded, cured, resolved or excluded; ``url``: empty for none."""

    at: datetime
    kind: str
    text: str
    note: str = ""
    url: str = ""

    @property
    def icon(self) -> str:
        return _ICONS[self.kind]


_ICONS: Mapping[str, str] = {
    "created": "person_add",
    "joined": "join",
    "found": "error",
    "notified": "mail",
    "reminded": "notifications",
    "cured": "check_circle",
    "resolved": "do_not_disturb_on",
    "excluded": "person_off",
}


def timeline(
    user: User,
    accounts: Iterable[Account],
    findings: Sequence[Finding],
    exclusions: Iterable[Exclusion],
    sent: Sequence[Delivery],
    zone: ZoneInfo,
) -> list[TimelineEntry]:
    """The last :data:`MOST_ENTRIES` entries. ``sent``: deliveries about the user, the newest first."""
    entries = [
        *_accounts(user, accounts),
        *_findings(findings),
        *_exclusions(exclusions, zone),
        *_messages(user, findings, sent),
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:MOST_ENTRIES]


def _accounts(user: User, accounts: Iterable[Account]) -> Iterator[TimelineEntry]:
    if user.created_at:
        yield TimelineEntry(user.created_at, "created", "The first account was created")
    for account in accounts:
        if account.joined_at:
            is_first = account.join_reason == JoinReason.FIRST
            text = f"{account.source.name}: {'first imported' if is_first else 'account joined'}"
            note = "" if is_first else str(account.get_join_reason_display())
            yield TimelineEntry(account.joined_at, "joined", text, note)


def _findings(findings: Iterable[Finding]) -> Iterator[TimelineEntry]:
    for finding in findings:
        title = check_title(finding.check_ref.slug)
        yield TimelineEntry(
            finding.opened_at, "found", f"Failed {title}", url=_run_url(finding.opened_run_id)
        )
        if finding.resolved_at:
            is_cured = finding.resolution == Finding.Resolution.CURED
            text = f"Cured: {title}" if is_cured else f"No longer evaluated: {title}"
            note = "" if is_cured else str(finding.get_resolution_display())
            kind = "cured" if is_cured else "resolved"
            yield TimelineEntry(finding.resolved_at, kind, text, note, _run_url(finding.resolved_run_id))


def _run_url(run: object) -> str:
    return page_url("run", run) if run else ""


def _exclusions(exclusions: Iterable[Exclusion], zone: ZoneInfo) -> Iterator[TimelineEntry]:
    for exclusion in exclusions:
        end = (
            f"to the end of {shown_day(last_day(exclusion.until, zone))}"
            if exclusion.until
            else "permanently"
        )
        slug = exclusion.check_ref.slug
        by = f", by {exclusion.created_by}" if exclusion.created_by else ""
        yield TimelineEntry(
            exclusion.created_at,
            "excluded",
            f"Excluded from {check_title(slug)} {end}",
            f"{exclusion.reason}{by}",
            page_url("check-exclusions", slug),
        )


def _messages(user: User, findings: Sequence[Finding], sent: Sequence[Delivery]) -> Iterator[TimelineEntry]:
    """A message to a person about a finding of an earlier one is a reminder."""
    notified: set[tuple[object, ...]] = set()
    for delivery in reversed(sent):
        about = findings_of(delivery, findings)
        keys = {(finding.pk, delivery.integration_id, delivery.recipient_id) for finding in about}
        is_personal = delivery.audience != Audience.LIST
        is_reminder = is_personal and bool(keys) and keys <= notified
        notified |= keys if is_personal else set()
        titles = ", ".join(dict.fromkeys(check_title(finding.check_ref.slug) for finding in about))
        yield TimelineEntry(
            delivery.delivered_at or delivery.created_at,
            "reminded" if is_reminder else "notified",
            f"{'Reminder' if is_reminder else 'Message'} to {recipient_text(delivery, user)}",
            f"{titles or event_title(delivery.event)} · {delivery.get_state_display()}",
            page_url("delivery", delivery.pk),
        )


def recipient_text(delivery: Delivery, user: User) -> str:
    """The target and the recipient of a delivery: ``soar``, ``mail (this user)``, ``mail (boss@example.com)``."""
    name = delivery.integration.name
    if delivery.recipient_id == user.pk:
        return f"{name} (this user)"
    if delivery.recipient:
        return f"{name} ({delivery.recipient.name})"
    if delivery.audience != Audience.LIST:
        return f"{name} ({delivery.get_audience_display().lower()})"
    return name
