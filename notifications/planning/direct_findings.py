"""Which findings the direct messages of one target are about: new ones, reminders, resolved ones; by recipient."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from checks.models import Finding
from checks.services import findings_with_users
from integrations.models import Integration
from notifications.models import Audience, Configuration, Delivery, Hold, PostponedFinding, Subscription
from notifications.planning import filters, finding_ranges, list_messages
from notifications.planning.due import DueSubscription
from notifications.rendering.combined_text import Role, Stage

CHUNK = 500

# The fields of a finding that messages need, without its user.
_READ = ("check_ref_id", "opened_at", "resolved_at", "recipient_id", "run_started_at", "is_postponed")

# Recipient and finding.
RecipientFinding = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DirectFinding:
    """One finding in the messages to one recipient."""

    stage: Stage
    finding: Finding
    subscription: Subscription
    recipient: int  # the id of the user who gets the message

    @property
    def role(self) -> Role:
        return "user" if self.subscription.audience == Audience.USER else "manager"

    @property
    def key(self) -> RecipientFinding:
        return self.recipient, self.finding.pk


class DirectFindings:
    """The findings of due subscriptions that are planned together: of one target."""

    def __init__(self, together: Sequence[DueSubscription], now: datetime) -> None:
        self.now = now
        self.integration: Integration = together[0].subscription.integration
        self.is_combined = list_messages.is_combined(self.integration)
        self.zone = ZoneInfo(Configuration.load().run_zone)
        # By audience and check; the users before their managers.
        self.due: dict[str, dict[int, DueSubscription]] = {}
        for one in sorted(together, key=lambda one: one.subscription.audience, reverse=True):
            self.due.setdefault(one.subscription.audience, {})[one.subscription.check_ref_id] = one

    # --- The findings ---

    def by_recipients(self) -> Iterator[list[DirectFinding]]:
        """The findings of some hundred recipients at a time, sorted by recipient."""
        for recipients in self._recipients():
            yield self._of(recipients)

    def without_manager(self) -> Iterator[tuple[Subscription, Finding]]:
        """The new findings for managers whose user has no known manager."""
        if due := self.due.get(Audience.MANAGER):
            found = self._findings(Audience.MANAGER, new_only=True).filter(user__manager=None)
            for finding in found.select_related("user").order_by("id").iterator(CHUNK):
                yield due[finding.check_ref_id].subscription, finding

    def _condition(self, audience: str, *, new_only: bool) -> Q:
        condition = Q(pk__in=[])
        for due in self.due[audience].values():
            subscription = due.subscription
            if filters.check_refusal(subscription.filter, subscription.check_ref):
                continue
            findings = due.opened()
            if due.sends_reminders and not new_only:
                findings |= due.sent_before()
            if subscription.resolved and not new_only:
                findings |= due.resolved()
            condition |= findings & filters.user_condition(subscription.filter)
        return condition

    def _findings(self, audience: str, *, new_only: bool = False) -> "QuerySet[Any]":
        """Findings with the recipient's id, the start of the run that opened them, and whether they were postponed."""
        findings = Finding.objects.filter(self._condition(audience, new_only=new_only))
        subscriptions = [due.subscription.pk for due in self.due[audience].values()]
        postponed = PostponedFinding.objects.filter(subscription__in=subscriptions, finding=OuterRef("pk"))
        annotated: QuerySet[Any] = findings.annotate(
            recipient_id=F("user_id" if audience == Audience.USER else "user__manager_id"),
            run_started_at=F("opened_run__started_at"),
            is_postponed=Exists(postponed),
        )
        return annotated

    def _recipients(self) -> Iterator[list[int]]:
        last = 0
        while True:
            keys: set[int] = set()
            for audience in self.due:
                found = self._findings(audience).filter(recipient_id__gt=last).order_by("recipient_id")
                keys.update(found.values_list("recipient_id", flat=True).distinct()[:CHUNK])
            if not keys:
                return
            chunk = sorted(keys)[:CHUNK]
            yield chunk
            last = chunk[-1]

    def _of(self, recipients: Sequence[int]) -> list[DirectFinding]:
        found: list[DirectFinding] = []
        for audience, due in self.due.items():
            findings = self._findings(audience).filter(recipient_id__in=recipients)
            ordered = findings.order_by("check_ref__slug", "id")
            rows: Iterator[Any] = findings_with_users(ordered, size=CHUNK, with_managers=True, others=_READ)
            for finding in rows:
                one = due[finding.check_ref_id]
                if stage := _stage(finding, one):
                    found.append(DirectFinding(stage, finding, one.subscription, finding.recipient_id))
        found = self._without_dropped(self._without_early_reminders(found))
        if self.is_combined:
            found = _without_duplicates(found)
        return sorted(found, key=attrgetter("recipient"))

    # --- Reminders ---

    def _without_early_reminders(self, found: list[DirectFinding]) -> list[DirectFinding]:
        """Reminders with the same interval are sent together, when the first of them is due: nobody is reminded more
        often than the interval says."""
        reminders = [one for one in found if one.stage == "reminder"]
        last = self._last_sent(reminders)
        due = {self._reminder_group(one) for one in reminders if self._is_reminder_due(one, last)}
        return [one for one in found if one.stage != "reminder" or self._reminder_group(one) in due]

    def _reminder_group(self, one: DirectFinding) -> tuple[int, ...]:
        days = one.subscription.remind_days
        return (one.recipient, days) if self.is_combined else (one.recipient, days, one.finding.pk)

    def _last_sent(self, reminders: Sequence[DirectFinding]) -> Mapping[RecipientFinding, datetime]:
        """When each recipient was last sent a message about the finding by this target, within the interval."""
        if not reminders:
            return {}
        days = 1 + max(one.subscription.remind_days for one in reminders)
        last: dict[RecipientFinding, datetime] = {}
        for mentioned, sent in self._deliveries(reminders, since=self.now - timedelta(days=days)):
            last |= dict.fromkeys(mentioned, sent.created_at)
        return last

    def _is_reminder_due(self, one: DirectFinding, last: Mapping[RecipientFinding, datetime]) -> bool:
        sent_at = last.get(one.key)
        return sent_at is None or self._day(self.now) - self._day(sent_at) >= one.subscription.remind_days

    def _day(self, time: datetime) -> int:
        """Calendar days, so that a message at 06:02 does not delay the next reminder by a day."""
        return time.astimezone(self.zone).date().toordinal()

    # --- Resolved findings ---

    def _without_dropped(self, found: list[DirectFinding]) -> list[DirectFinding]:
        """Leave out resolved findings whose every message was dropped: the recipient does not know of them."""
        resolved = [one for one in found if one.stage == "resolved"]
        if not resolved or not Hold.objects.filter(state=Hold.State.DROPPED).exists():
            return found
        dropped: set[RecipientFinding] = set()
        sent: set[RecipientFinding] = set()
        since = min(one.finding.opened_at for one in resolved)
        for mentioned, delivery in self._deliveries(resolved, since=since):
            (dropped if delivery.is_dropped else sent).update(mentioned)
        unknown = dropped - sent
        return [one for one in found if one.stage != "resolved" or one.key not in unknown]

    def _deliveries(
        self, found: Iterable[DirectFinding], *, since: datetime
    ) -> Iterator[tuple[set[RecipientFinding], "_PastDelivery"]]:
        """The target's deliveries to these recipients, the oldest first, with those of the findings that each is about."""
        findings: dict[int, set[int]] = defaultdict(set)
        for one in found:
            findings[one.recipient].add(one.finding.pk)
        rows = Delivery.objects.filter(
            integration=self.integration, recipient__in=findings, created_at__gte=since
        ).order_by("created_at")
        for recipient, finding, ranges, created_at, state, hold in rows.values_list(
            "recipient", "finding", "finding_ranges", "created_at", "state", "hold__state"
        ):
            mentioned = {
                (recipient, key)
                for key in findings[recipient]
                if key == finding or finding_ranges.contains(ranges, key)
            }
            is_dropped = state == Delivery.State.SKIPPED and hold == Hold.State.DROPPED
            yield mentioned, _PastDelivery(created_at, is_dropped)


@dataclass(frozen=True, slots=True)
class _PastDelivery:
    created_at: datetime
    is_dropped: bool


def _without_duplicates(found: Sequence[DirectFinding]) -> list[DirectFinding]:
    """If a user is their own manager, send only the user's message."""
    own = {one.finding.pk for one in found if one.role == "user"}
    return [
        one
        for one in found
        if one.role == "user" or one.recipient != one.finding.user_id or one.finding.pk not in own
    ]


def _stage(finding: Any, due: DueSubscription) -> Stage | None:
    """The stage of an annotated finding; None: it was resolved during this plan, before a message was
    planned."""
    was_sent = finding.run_started_at <= due.subscription.opened_until and not finding.is_postponed
    if finding.resolved_at is not None:
        return "resolved" if was_sent else None
    return "reminder" if was_sent else "new"
