"""Direct messages, planned together for the due subscriptions of one target.

A chat or mail sends one person one message about all checks, as a user and as a manager. A webhook gets the contract's
events: one for each user, check and audience. All is read and rendered into a temporary file before anything is locked.
"""

import pickle
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from uuid import uuid4

from checks.models import Finding
from integrations.services import language_of, template_time_limit, translator_for
from notifications import sql
from notifications.models import Delivery, Event, Subscription
from notifications.planning import check_events, delivery_rows, filters, finding_ranges, loading
from notifications.planning.delivery_rows import DeliveryRow
from notifications.planning.direct_findings import DirectFinding, DirectFindings
from notifications.planning.due import DueSubscription
from notifications.planning.loading import EventContext, TargetDestination
from notifications.rendering import combined_text
from notifications.rendering.batch import CombinedMessage, DirectMessage, ResolvedMessage
from notifications.rendering.combined_text import FindingText
from notifications.rendering.payloads import Item, Recipient

MEMORY_BYTES = 16 * 1024 * 1024
_BATCH, _BATCHES = delivery_rows.COLUMNS.index("batch"), delivery_rows.COLUMNS.index("batches")


@dataclass(slots=True)
class Draft:
    """The deliveries of one event in a temporary file, until :meth:`insert`."""

    event: Event
    file: "SpooledTemporaryFile[bytes]"
    rows: int = 0
    users: int = 0

    def add(self, row: DeliveryRow, users: int = 1) -> None:
        pickle.dump(row, self.file)
        self.rows += 1
        self.users += users

    def insert(self) -> int:
        """Insert the event and its deliveries; returns how many."""
        if not self.rows:
            return 0
        self.event.users = self.users
        self.event.save(force_insert=True)
        return sql.insert_rows(Delivery, delivery_rows.COLUMNS, self._numbered_rows())

    def _numbered_rows(self) -> Iterator[DeliveryRow]:
        self.file.seek(0)
        for number in range(1, self.rows + 1):
            row = pickle.load(self.file)  # noqa: S301  this process wrote it  # nosec B301
            row[_BATCH], row[_BATCHES] = number, self.rows
            yield row


@contextmanager
def drafted(together: Sequence[DueSubscription], now: datetime) -> Iterator[Draft]:
    """The draft of all messages of these due subscriptions, which have one target."""
    with SpooledTemporaryFile(max_size=MEMORY_BYTES) as file:
        draft = Draft(Event(origin=Event.Origin.PEOPLE, created_at=now), file)
        seconds, per_user = check_events.TEMPLATE_SECONDS, check_events.TEMPLATE_SECONDS_PER_USER
        with template_time_limit(seconds, per_rendering=per_user):
            _DraftWriter(together, draft, now).write()
        yield draft


@dataclass(frozen=True, slots=True)
class _Part:
    """A subscription's part: what its messages share, and the target with the check's own message."""

    context: EventContext
    destination: TargetDestination


@dataclass(frozen=True, slots=True)
class _Details:
    """Content of messages about findings and users: loginDetails by finding, trust level by user."""

    items: Mapping[int, Item]
    trust_levels: Mapping[int, str]


class _DraftWriter:
    def __init__(self, together: Sequence[DueSubscription], draft: Draft, now: datetime) -> None:
        self.together, self.draft, self.now = together, draft, now
        self.findings = DirectFindings(together, now)
        self.integration = self.findings.integration
        self.parts: dict[int, _Part] = {}  # by subscription
        for subscription in (due.subscription for due in together):
            self.parts[subscription.pk] = _Part(
                loading.event_context(draft.event, subscription.check_ref),
                loading.destination(self.integration, subscription.audience, subscription.check_ref),
            )

    def write(self) -> None:
        for due in self.together:
            self._add_excluded(due)
        for subscription, finding in self.findings.without_manager():
            reason = loading.unknown_manager_reason(finding.user)
            self._add_skipped(self.parts[subscription.pk], reason, finding=finding.pk)
        for found in self.findings.by_recipients():
            details = self._details(found)
            for _, group in groupby(found, key=attrgetter("recipient")):
                self._add_messages(list(group), details)

    # --- Skipped deliveries ---

    def _add_excluded(self, due: DueSubscription) -> None:
        """Count the users that the subscription's filter excludes."""
        subscription = due.subscription
        if not subscription.filter:
            return
        opened = Finding.objects.filter(due.opened())
        matching = filters.apply_filter(opened, subscription.filter, subscription.check_ref)
        users = opened.count() - matching.count()
        if users:
            part = self.parts[subscription.pk]
            why = check_events.filter_reason(subscription.filter, subscription.check_ref)
            self._add_skipped(part, f"{part.context.content.check.title}: {why}", users=users)

    def _add_skipped(self, part: _Part, reason: str, *, users: int = 1, **values: object) -> None:
        row = delivery_rows.row(
            part.context,
            self.integration,
            part.destination.audience,
            users=users,
            **values,
            state="skipped",
            reason=reason[:500],
        )
        self.draft.add(row, users)

    # --- Messages ---

    def _details(self, found: Sequence[DirectFinding]) -> _Details:
        items: dict[int, Item] = {}
        failing: dict[Subscription, dict[int, Finding]] = defaultdict(dict)
        subscriptions: dict[int, Subscription] = {}  # one for each check
        for one in found:
            finding = one.finding
            if one.stage == "resolved":
                items[finding.pk] = Item.resolved(finding.user.name, finding.resolution)
            else:
                subscription = subscriptions.setdefault(finding.check_ref_id, one.subscription)
                failing[subscription][finding.pk] = finding
        for subscription, findings in failing.items():
            context = self.parts[subscription.pk].context
            found_items = check_events.items_of(
                context, subscription.check_ref, list(findings.values()), self.now
            )
            items |= dict(zip(findings, found_items, strict=True))
        return _Details(items, check_events.trust_levels([one.finding for one in found]))

    def _add_messages(self, found: list[DirectFinding], details: _Details) -> None:
        """The messages to one recipient."""
        recipient = _recipient_of(found[0])
        if not self.findings.is_combined:
            for one in found:
                self._add_message(one, recipient, details)
        elif not recipient.email:
            if any(one.stage == "new" for one in found):
                part = self._part(found[0])
                reason = loading.no_address_reason(recipient)
                self._add_skipped(part, reason, users=_user_count(found), **_record_of(found))
        elif len(found) == 1 and found[0].stage == "new":
            self._add_message(found[0], recipient, details)
        else:
            self._add_combined(found, recipient, details)

    def _add_message(self, one: DirectFinding, recipient: Recipient, details: _Details) -> None:
        """The contract's event about one user and check."""
        part = self._part(one)
        message: DirectMessage | ResolvedMessage
        if one.stage == "resolved":
            item = details.items[one.finding.pk]
            message = ResolvedMessage(uuid4(), part.context.content, item, recipient)
        else:
            message = self._direct_message(one, recipient, details)
        values = {"finding": one.finding.pk, "recipient": one.recipient}
        self.draft.add(delivery_rows.rendered_row(part.context, part.destination, message, **values))

    def _direct_message(self, one: DirectFinding, recipient: Recipient, details: _Details) -> DirectMessage:
        user = one.finding.user
        return DirectMessage(
            uuid4(),
            self._part(one).context.content,
            details.items[one.finding.pk],
            user.display_name,
            details.trust_levels[user.pk],
            recipient,
            is_reminder=one.stage == "reminder",
        )

    def _add_combined(self, found: Sequence[DirectFinding], recipient: Recipient, details: _Details) -> None:
        """One message about several findings."""
        part = self._part(found[0])
        texts, errors = zip(*(self._finding_text(one, details) for one in found), strict=True)
        language = language_of(recipient.locale, part.context.content.presentation.language)
        combined = combined_text.combine(
            recipient.name,
            texts,
            translate=translator_for(language),
            signature=part.context.content.presentation.signature,
        )
        message = CombinedMessage(
            uuid4(),
            part.context.content,
            combined,
            # By user: two of them can have the same login.
            list({one.finding.user_id: one.finding.user.name for one in found}.values()),
            details.trust_levels[found[0].finding.user_id],
            recipient,
            next((error for error in errors if error), ""),
        )
        users = _user_count(found)
        values = {"users": users, **_record_of(found)}
        row = delivery_rows.rendered_row(part.context, part.destination, message, **values)
        self.draft.add(row, users)

    def _finding_text(self, one: DirectFinding, details: _Details) -> tuple[FindingText, str]:
        """The part of a combined message about one finding, and the error of its template."""
        part = self._part(one)
        custom, error = "", ""
        if part.destination.template is not None and one.stage == "new":
            direct = self._direct_message(one, _recipient_of(one), details)
            custom, error = part.destination.message(direct.variables, direct.language)
        content = part.context.content
        recipient = _recipient_of(one)
        language = language_of(recipient.locale, content.presentation.language)
        text = FindingText(
            one.role,
            one.stage,
            content.check_in(language).title,
            content.check.severity,
            one.finding.user.name,
            content.texts_in(language)[one.role],
            custom,
            one.finding.user.display_name,
            content.due_text(one.role, language),
            content.presentation.instructions_url,
            content.facts(details.items[one.finding.pk].details, one.role, language),
        )
        return text, error

    def _part(self, one: DirectFinding) -> _Part:
        return self.parts[one.subscription.pk]


def _recipient_of(one: DirectFinding) -> Recipient:
    recipient = loading.recipient_of(one.finding.user, one.subscription.audience)
    assert recipient is not None  # noqa: S101  findings without a recipient are read apart
    return recipient


def _user_count(found: Sequence[DirectFinding]) -> int:
    return len({one.finding.user_id for one in found})


def _record_of(found: Sequence[DirectFinding]) -> dict[str, object]:
    """The columns of a delivery about several findings."""
    return {
        "recipient": found[0].recipient,
        "finding": found[0].finding.pk,
        "finding_ranges": finding_ranges.from_ids({one.finding.pk for one in found}),
    }
