"""The checks that a user fails: why, since when, and what was sent about each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from checks.models import Exclusion, Finding, User
from checks.services import CATALOGUE, user_details
from cii_project.console.core.console_view import page_url
from cii_project.console.core.failure_reasons import failure_reasons
from cii_project.console.core.titles import check_title
from notifications.models import Configuration, Delivery
from notifications.services import findings_of

# Messages of one finding that the page lists; the others are under "What was sent about this user".
SENT_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """``url``: the check's page with this user alone; ``reasons``: label and value; ``sent``: the newest first."""

    finding: Finding
    title: str
    url: str
    reasons: Sequence[tuple[str, str]]
    sent: Sequence[Delivery]
    exclusion: Exclusion | None

    @property
    def shown(self) -> Sequence[Delivery]:
        return self.sent[:SENT_SHOWN]

    @property
    def more(self) -> int:
        return max(0, len(self.sent) - SENT_SHOWN)


def check_url(slug: str, user: User) -> str:
    """The check's page, searched for the user: what is done there is about the same user."""
    return f"{page_url('check', slug)}?{urlencode({'search': user.name})}"


def failed_checks(
    user: User,
    findings: Sequence[Finding],
    sent: Sequence[Delivery],
    exclusions: Iterable[Exclusion],
    now: datetime,
) -> list[FailedCheck]:
    """The open findings among ``findings``, explained. ``sent``: deliveries about the user, the newest first."""
    still = [finding for finding in findings if finding.resolved_at is None]
    if not still:
        return []
    tenant = Configuration.load().tenant_id
    # A check that has left the catalogue explains nothing any more.
    known = [finding.check_ref for finding in still if finding.check_ref.slug in CATALOGUE]
    details = user_details(user, known, now=now, tenant_id=tenant)
    held = {one.check_ref_id: one for one in exclusions if one.is_active}
    by_finding = deliveries_by_finding(still, sent)
    return [
        FailedCheck(
            finding,
            check_title(finding.check_ref.slug),
            check_url(finding.check_ref.slug, user),
            failure_reasons(details[slug]) if (slug := finding.check_ref.slug) in details else (),
            by_finding[finding.pk],
            held.get(finding.check_ref_id),
        )
        for finding in still
    ]


def deliveries_by_finding(
    findings: Sequence[Finding], sent: Iterable[Delivery]
) -> Mapping[int, list[Delivery]]:
    """Finding id → the deliveries about it, in the given order."""
    found: dict[int, list[Delivery]] = {finding.pk: [] for finding in findings}
    for delivery in sent:
        for finding in findings_of(delivery, findings):
            found[finding.pk].append(delivery)
    return found
