"""Messages to the people concerned, for the rounds of one target and audience (see rounds.py).

A chat or mail tells one person all at once, whatever the number of checks. A webhook gets the contract's
events: one a user and check. Read and rendered into a spool before anything is locked.
"""

import logging
import pickle
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db.models import F, Max, Q, QuerySet

from checks.models import Check, Finding
from notifications import bulk, choosing, composing, letters, lists, payloads, planning, rows
from notifications.composing import Destination, Occasion
from notifications.letters import Stage
from notifications.models import Audience, Configuration, Delivery, Event
from notifications.rounds import Round
from notifications.rows import Row

log = logging.getLogger(__name__)

CHUNK = 500
SPOOL_BYTES = 16 * 1024 * 1024
_BATCH, _BATCHES = rows.COLUMNS.index("batch"), rows.COLUMNS.index("batches")


@dataclass(frozen=True, slots=True)
class About:
    """One thing to tell one person."""

    stage: Stage
    finding: Finding
    round: Round

    @property
    def check(self) -> Check:
        return self.round.subscription.check_ref


@dataclass(slots=True)
class Draft:
    """The deliveries of one event, spooled; ``insert`` writes them."""

    event: Event
    file: "SpooledTemporaryFile[bytes]"
    rows: int = 0
    users: int = 0

    def add(self, row: Row, users: int = 1) -> None:
        pickle.dump(row, self.file)
        self.rows += 1
        self.users += users

    def insert(self) -> int:
        if not self.rows:
            return 0
        self.event.users = self.users
        self.event.save(force_insert=True)
        return bulk.insert(Delivery, rows.COLUMNS, self._numbered())

    def _numbered(self) -> Iterator[Row]:
        self.file.seek(0)
        for number in range(1, self.rows + 1):
            row = pickle.load(self.file)  # noqa: S301  written by us, a moment ago
            row[_BATCH], row[_BATCHES] = number, self.rows
            yield row


@contextmanager
def drafted(together: Sequence[Round], now: datetime) -> Iterator[Draft]:
    """All that these rounds of one target and audience have to tell."""
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        draft = Draft(Event(origin=Event.Origin.PEOPLE, created_at=now), file)
        _Drafting(together, draft, now).write()
        yield draft


@dataclass(frozen=True, slots=True)
class _Ready:
    """A check's part: what its messages share, and the target with the check's own message."""

    on: Occasion
    to: Destination


@dataclass
class _Drafting:
    together: Sequence[Round]
    draft: Draft
    now: datetime
    ready: dict[int, _Ready] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.together[0].subscription
        self.integration, self.audience = first.integration, first.audience
        self.many = lists.one_message(self.integration)
        self.rounds = {each.subscription.check_ref_id: each for each in self.together}
        self.key = "user_id" if self.audience == Audience.USER else "user__manager_id"
        self.zone = ZoneInfo(Configuration.load().run_zone)
        for each in self.together:
            check = each.subscription.check_ref
            on = composing.occasion(self.draft.event, check)
            self.ready[check.id] = _Ready(on, composing.destination(self.integration, self.audience, check))

    def write(self) -> None:
        for each in self.together:
            if each.opens:
                self._left_out(each)
        if self.audience == Audience.MANAGER:
            self._without_manager()
        for recipients in self._recipients():
            found = self._abouts(recipients)
            details = self._details(found)
            trust = planning.trust_levels([about.finding for about in found])
            for _, group in groupby(found, key=lambda about: _key(about.finding)):
                self._tell(list(group), details, trust)

    # --- Which ---

    def _wanted(self, *, new_only: bool = False) -> Q:
        """A condition on findings: all that the rounds are about."""
        wanted = Q(pk__in=[])
        for each in self.together:
            one = each.subscription
            if choosing.refusal(one.filter, one.check_ref):
                continue
            mine = Q(pk__in=[])
            if each.opens:
                mine |= each.opened()
            if each.remind and not new_only:
                mine |= each.earlier()
            if one.resolved and not new_only:
                mine |= each.over()
            wanted |= mine & choosing.by_user(one.filter)
        return wanted

    def _findings(self, wanted: Q) -> "QuerySet[Any]":
        findings: QuerySet[Any] = Finding.objects.filter(wanted)
        return findings.annotate(recipient_key=F(self.key), opened_start=F("opened_run__started_at"))

    def _recipients(self) -> Iterator[list[int]]:
        wanted, last = self._wanted(), 0
        while True:
            keys = self._findings(wanted).filter(recipient_key__gt=last).order_by("recipient_key")
            chunk = list(keys.values_list("recipient_key", flat=True).distinct()[:CHUNK])
            if not chunk:
                return
            yield chunk
            last = chunk[-1]

    def _abouts(self, recipients: Sequence[int]) -> list[About]:
        """What these people are told, by person; reminders only where their time has come."""
        found = self._findings(self._wanted()).filter(recipient_key__in=recipients)
        found = found.select_related("user__manager").order_by("recipient_key", "check_ref__slug", "id")
        abouts = []
        for finding in found:
            each = self.rounds[finding.check_ref_id]
            stage = _stage(finding, each)
            if stage:
                abouts.append(About(stage, finding, each))
        last = self._last_told(abouts)
        return [about for about in abouts if about.stage != "reminder" or self._is_time(about, last)]

    def _last_told(self, abouts: Sequence[About]) -> Mapping[int, datetime]:
        """When each person (of a webhook: each finding) was last written to here."""
        waiting = [about.finding for about in abouts if about.stage == "reminder"]
        if not waiting:
            return {}
        sent = Delivery.objects.filter(integration=self.integration, audience=self.audience).order_by()
        if self.many:
            by = "recipient"
            keys = {_key(finding) for finding in waiting}
            sent = sent.filter(recipient__in=keys, event__origin=Event.Origin.PEOPLE)
        else:
            by = "finding"
            sent = sent.filter(finding__in=[finding.id for finding in waiting])
        return dict(sent.values_list(by).annotate(last=Max("created_at")))

    def _is_time(self, about: About, last: Mapping[int, datetime]) -> bool:
        key = _key(about.finding) if self.many else about.finding.id
        told = last.get(key)
        days = about.round.subscription.remind_days
        return told is None or self._day(self.now) - self._day(told) >= days

    def _day(self, moment: datetime) -> int:
        """Days are counted by the calendar, so that a message at 06:02 does not put off the next by one."""
        return moment.astimezone(self.zone).date().toordinal()

    # --- Who is not told ---

    def _left_out(self, each: Round) -> None:
        one = each.subscription
        if not one.filter:
            return
        found = Finding.objects.filter(each.opened())
        users = found.count() - choosing.narrow(found, one.filter, one.check_ref).count()
        if users:
            on = self.ready[one.check_ref_id].on
            reason = f"{on.text.title}: {planning.left_out_reason(one.filter, one.check_ref)}"[:500]
            self._add(on, users=users, state="skipped", reason=reason)

    def _without_manager(self) -> None:
        found = self._findings(self._wanted(new_only=True)).filter(user__manager=None)
        for finding in found.select_related("user").order_by("id").iterator(CHUNK):
            on = self.ready[finding.check_ref_id].on
            reason = f"The manager of {finding.user.name} is unknown."[:500]
            self._add(on, finding=finding.id, state="skipped", reason=reason)

    # --- The messages ---

    def _details(self, abouts: Sequence[About]) -> dict[int, payloads.LoginDetail]:
        """finding id → its loginDetails item."""
        details: dict[int, payloads.LoginDetail] = {}
        by_check: dict[int, list[Finding]] = defaultdict(list)
        for about in abouts:
            if about.stage == "over":
                user, why = about.finding.user, about.finding.resolution
                details[about.finding.id] = payloads.resolution(user.name, why)
            else:
                by_check[about.finding.check_ref_id].append(about.finding)
        for check_id, findings in by_check.items():
            on, check = self.ready[check_id].on, self.rounds[check_id].subscription.check_ref
            items = planning.details_of(on, check, findings, self.now)
            details |= {finding.id: item for finding, item in zip(findings, items, strict=True)}
        return details

    def _tell(
        self, abouts: list[About], details: Mapping[int, payloads.LoginDetail], trust: Mapping[int, str]
    ) -> None:
        recipient = composing.recipient_of(abouts[0].finding.user, self.audience)
        assert recipient is not None  # noqa: S101  _recipients yields none without a key
        if not self.many:
            for about in abouts:
                self._one(about, recipient, details, trust)
            return
        users = len({about.finding.user_id for about in abouts})
        on = self.ready[abouts[0].finding.check_ref_id].on
        values: dict[str, Any] = {"recipient": _key(abouts[0].finding), "users": users}
        if not recipient.email:
            if any(about.stage == "new" for about in abouts):
                reason = f"{recipient.login} has no e-mail address to be found by."[:500]
                self._add(on, **values, state="skipped", reason=reason)
            return
        if len(abouts) == 1 and abouts[0].stage == "new":
            self._one(abouts[0], recipient, details, trust)
            return
        self._letter(abouts, recipient, details, trust, values)

    def _one(
        self,
        about: About,
        recipient: payloads.Recipient,
        details: Mapping[int, payloads.LoginDetail],
        trust: Mapping[int, str],
    ) -> None:
        """The contract's event about one user and check."""
        finding, ready = about.finding, self.ready[about.finding.check_ref_id]
        values: dict[str, Any] = {
            "id": uuid4(),
            "finding": finding.id,
            "recipient": _key(finding),
        }
        detail, user = details[finding.id], finding.user
        try:
            if about.stage == "over":
                made = composing.resolved_note(ready.on, ready.to, values["id"], detail, recipient)
            else:
                made = composing.direct_body(
                    ready.on, ready.to, values["id"], user, detail, trust[user.id], recipient,
                    reminder=about.stage == "reminder",
                )  # fmt: skip
        except Exception as error:  # noqa: BLE001  a kind's bug is that message's end, not the round's
            self.draft.add(rows.failed(ready.on, ready.to, error, values))
            return
        self.draft.add(rows.made_row(ready.on, ready.to, made, values))

    def _letter(
        self,
        abouts: Sequence[About],
        recipient: payloads.Recipient,
        details: Mapping[int, payloads.LoginDetail],
        trust: Mapping[int, str],
        values: dict[str, Any],
    ) -> None:
        ready = self.ready[abouts[0].finding.check_ref_id]
        values = {"id": uuid4(), "finding": abouts[0].finding.id, **values}
        items, problem = [], ""
        for about in abouts:
            item, error = self._item(about, recipient, details, trust)
            items.append(item)
            problem = problem or error
        try:
            made = composing.letter_body(
                ready.on, ready.to, values["id"], recipient, items, trust[abouts[0].finding.user_id], problem
            )
        except Exception as error:  # noqa: BLE001  as above
            self.draft.add(rows.failed(ready.on, ready.to, error, values), values["users"])
            return
        self.draft.add(rows.made_row(ready.on, ready.to, made, values), values["users"])

    def _item(
        self,
        about: About,
        recipient: payloads.Recipient,
        details: Mapping[int, payloads.LoginDetail],
        trust: Mapping[int, str],
    ) -> tuple[letters.Item, str]:
        ready, user = self.ready[about.finding.check_ref_id], about.finding.user
        custom, problem = "", ""
        if ready.to.template is not None and about.stage == "new":
            custom, problem = composing.custom_text(
                ready.on, ready.to, user, details[about.finding.id], trust[user.id], recipient
            )
        text = ready.on.text
        item = letters.Item(
            about.stage, text.title, text.severity, user.name, tuple(text.recommended_actions), custom
        )
        return item, problem

    def _add(self, on: Occasion, **values: Any) -> None:
        users = values.get("users", 1)
        self.draft.add(rows.row(on, self.integration, self.audience, **values), users)


def _key(finding: Finding) -> int:
    """Who is written to about it, as annotated."""
    key: int = finding.recipient_key  # type: ignore[attr-defined]
    return key


def _stage(finding: Finding, each: Round) -> Stage | None:
    earlier = finding.opened_start <= each.subscription.told_until  # type: ignore[attr-defined]
    if finding.resolved_at is not None:
        return "over" if earlier else None  # it ended while this was read: nobody knows of it
    return "reminder" if earlier else "new"
