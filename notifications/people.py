"""Messages to the people concerned, for the rounds of one target (see rounds.py).

A chat or mail tells one person all at once, whatever the number of checks, as a user and as a manager. A
webhook gets the contract's events: one a user, check and audience. Read and rendered into a spool before anything is locked.
"""

import logging
import pickle
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db.models import F, Q, QuerySet

from checks.models import Finding
from notifications import bulk, choosing, composing, letters, lists, mentions, payloads, planning, rows
from notifications.composing import Destination, Occasion
from notifications.letters import Stage
from notifications.models import Audience, Configuration, Delivery, Event, Subscription
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
    def subscription(self) -> Subscription:
        return self.round.subscription

    @property
    def recipient(self) -> int:
        """The id of who is written to, as annotated."""
        key: int = self.finding.recipient_key  # type: ignore[attr-defined]
        return key


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
    """All that these rounds of one target have to tell."""
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        draft = Draft(Event(origin=Event.Origin.PEOPLE, created_at=now), file)
        _Drafting(together, draft, now).write()
        yield draft


@dataclass(frozen=True, slots=True)
class _Ready:
    """A subscription's part: what its messages share, and the target with the check's own message."""

    on: Occasion
    to: Destination


@dataclass
class _Drafting:
    together: Sequence[Round]
    draft: Draft
    now: datetime
    ready: dict[int, _Ready] = field(default_factory=dict)  # by subscription

    def __post_init__(self) -> None:
        self.integration = self.together[0].subscription.integration
        self.many = lists.one_message(self.integration)
        self.by_audience: dict[str, dict[int, Round]] = {}  # the user's own first; rounds by check
        for each in sorted(self.together, key=lambda each: each.subscription.audience, reverse=True):
            one = each.subscription
            self.by_audience.setdefault(one.audience, {})[one.check_ref_id] = each
            on = composing.occasion(self.draft.event, one.check_ref)
            to = composing.destination(self.integration, one.audience, one.check_ref)
            self.ready[one.id] = _Ready(on, to)
        self.zone = ZoneInfo(Configuration.load().run_zone)

    def write(self) -> None:
        for each in self.together:
            if each.opens:
                self._left_out(each)
        if Audience.MANAGER in self.by_audience:
            self._without_manager()
        for recipients in self._recipients():
            found = self._abouts(recipients)
            details = self._details(found)
            trust = planning.trust_levels([about.finding for about in found])
            for _, group in groupby(found, key=attrgetter("recipient")):
                self._tell(list(group), details, trust)

    # --- Which ---

    def _wanted(self, audience: str, *, new_only: bool = False) -> Q:
        """A condition on findings: all that the rounds of an audience are about."""
        wanted = Q(pk__in=[])
        for each in self.by_audience[audience].values():
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

    def _findings(self, audience: str, *, new_only: bool = False) -> "QuerySet[Any]":
        findings: QuerySet[Any] = Finding.objects.filter(self._wanted(audience, new_only=new_only))
        key = "user_id" if audience == Audience.USER else "user__manager_id"
        return findings.annotate(recipient_key=F(key), opened_start=F("opened_run__started_at"))

    def _recipients(self) -> Iterator[list[int]]:
        last = 0
        while True:
            keys: set[int] = set()
            for audience in self.by_audience:
                found = self._findings(audience).filter(recipient_key__gt=last).order_by("recipient_key")
                keys.update(found.values_list("recipient_key", flat=True).distinct()[:CHUNK])
            if not keys:
                return
            chunk = sorted(keys)[:CHUNK]
            yield chunk
            last = chunk[-1]

    def _abouts(self, recipients: Sequence[int]) -> list[About]:
        """What these people are told, by person; reminders only where their time has come."""
        abouts = []
        for audience, rounds in self.by_audience.items():
            found = self._findings(audience).filter(recipient_key__in=recipients)
            for finding in found.select_related("user__manager").order_by("check_ref__slug", "id"):
                each = rounds[finding.check_ref_id]
                stage = _stage(finding, each)
                if stage:
                    abouts.append(About(stage, finding, each))
        abouts = self._in_time(abouts)
        if self.many:
            abouts = _once(abouts)
        return sorted(abouts, key=attrgetter("recipient"))

    def _in_time(self, abouts: list[About]) -> list[About]:
        """Without the reminders whose time has not come. What is to be repeated as often is repeated with the
        first of it, so that nobody is reminded more often than asked for."""
        last = self._last_told([about for about in abouts if about.stage == "reminder"])
        due = {self._repeated(about) for about in abouts if self._is_time(about, last)}
        return [about for about in abouts if about.stage != "reminder" or self._repeated(about) in due]

    def _repeated(self, about: About) -> tuple[int, ...]:
        days = about.subscription.remind_days
        return (about.recipient, days) if self.many else (about.recipient, days, about.finding.id)

    def _last_told(self, waiting: Sequence[About]) -> Mapping[tuple[int, int], datetime]:
        """(person, finding) → when that person was last written to about it here, as far as it matters."""
        if not waiting:
            return {}
        findings: dict[int, set[int]] = defaultdict(set)
        for about in waiting:
            findings[about.recipient].add(about.finding.id)
        days = 1 + max(about.subscription.remind_days for about in waiting)
        sent = Delivery.objects.filter(
            integration=self.integration,
            recipient__in=findings,
            created_at__gte=self.now - timedelta(days=days),
        )
        last: dict[tuple[int, int], datetime] = {}
        told = sent.order_by("created_at").values_list("recipient", "finding", "about", "created_at")
        for recipient, finding, spoken_of, at in told:
            mine = findings[recipient]
            mine = {one for one in mine if one == finding or mentions.among(spoken_of, one)}
            last |= dict.fromkeys(((recipient, one) for one in mine), at)
        return last

    def _is_time(self, about: About, last: Mapping[tuple[int, int], datetime]) -> bool:
        if about.stage != "reminder":
            return False
        told = last.get((about.recipient, about.finding.id))
        return told is None or self._day(self.now) - self._day(told) >= about.subscription.remind_days

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
            ready = self.ready[one.id]
            reason = f"{ready.on.text.title}: {planning.left_out_reason(one.filter, one.check_ref)}"[:500]
            self._add(ready, users=users, state="skipped", reason=reason)

    def _without_manager(self) -> None:
        rounds = self.by_audience[Audience.MANAGER]
        found = self._findings(Audience.MANAGER, new_only=True).filter(user__manager=None)
        for finding in found.select_related("user").order_by("id").iterator(CHUNK):
            ready = self.ready[rounds[finding.check_ref_id].subscription.id]
            reason = f"The manager of {finding.user.name} is unknown."[:500]
            self._add(ready, finding=finding.id, state="skipped", reason=reason)

    # --- The messages ---

    def _details(self, abouts: Sequence[About]) -> dict[int, payloads.LoginDetail]:
        """finding id → its loginDetails item."""
        details: dict[int, payloads.LoginDetail] = {}
        by_check: dict[Subscription, dict[int, Finding]] = defaultdict(dict)
        of_check: dict[int, Subscription] = {}
        for about in abouts:
            if about.stage == "over":
                user, why = about.finding.user, about.finding.resolution
                details[about.finding.id] = payloads.resolution(user.name, why)
            else:
                one = of_check.setdefault(about.finding.check_ref_id, about.subscription)
                by_check[one][about.finding.id] = about.finding
        for one, findings in by_check.items():
            on = self.ready[one.id].on
            items = planning.details_of(on, one.check_ref, list(findings.values()), self.now)
            details |= dict(zip(findings, items, strict=True))
        return details

    def _tell(
        self, abouts: list[About], details: Mapping[int, payloads.LoginDetail], trust: Mapping[int, str]
    ) -> None:
        recipient = _recipient_of(abouts[0])
        if not self.many:
            for about in abouts:
                self._one(about, recipient, details, trust)
            return
        users = len({about.finding.user_id for about in abouts})
        values: dict[str, Any] = {"recipient": abouts[0].recipient, "users": users}
        if not recipient.email:
            if any(about.stage == "new" for about in abouts):
                reason = f"{recipient.login} has no e-mail address to be found by."[:500]
                self._add(self._ready(abouts[0]), **values, **_about(abouts), state="skipped", reason=reason)
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
        finding, ready = about.finding, self._ready(about)
        values: dict[str, Any] = {"id": uuid4(), "finding": finding.id, "recipient": about.recipient}
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
        ready = self._ready(abouts[0])
        values = {"id": uuid4(), **_about(abouts), **values}
        items, problem = [], ""
        for about in abouts:
            item, error = self._item(about, details, trust)
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
        details: Mapping[int, payloads.LoginDetail],
        trust: Mapping[int, str],
    ) -> tuple[letters.Item, str]:
        ready, user = self._ready(about), about.finding.user
        custom, problem = "", ""
        if ready.to.template is not None and about.stage == "new":
            custom, problem = composing.custom_text(
                ready.on, ready.to, user, details[about.finding.id], trust[user.id], _recipient_of(about)
            )
        text = ready.on.text
        item = letters.Item(
            _role(about), about.stage, text.title, text.severity, user.name,
            tuple(text.recommended_actions), custom,
        )  # fmt: skip
        return item, problem

    def _ready(self, about: About) -> _Ready:
        return self.ready[about.subscription.id]

    def _add(self, ready: _Ready, **values: Any) -> None:
        users = values.get("users", 1)
        self.draft.add(rows.row(ready.on, self.integration, ready.to.audience, **values), users)


def _recipient_of(about: About) -> payloads.Recipient:
    recipient = composing.recipient_of(about.finding.user, about.subscription.audience)
    assert recipient is not None  # noqa: S101  _recipients yields none without a key
    return recipient


def _once(abouts: Sequence[About]) -> list[About]:
    """Who is their own manager is told as a user."""
    own = {about.finding.id for about in abouts if _role(about) == "user"}
    return [
        about
        for about in abouts
        if _role(about) == "user" or about.recipient != about.finding.user_id or about.finding.id not in own
    ]


def _role(about: About) -> letters.Role:
    return "user" if about.subscription.audience == Audience.USER else "manager"


def _about(abouts: Sequence[About]) -> dict[str, Any]:
    """For the record: the finding of the first, and all."""
    return {"finding": abouts[0].finding.id, "about": mentions.of({about.finding.id for about in abouts})}


def _stage(finding: Finding, each: Round) -> Stage | None:
    earlier = finding.opened_start <= each.subscription.told_until  # type: ignore[attr-defined]
    if finding.resolved_at is not None:
        return "over" if earlier else None  # it ended while this was read: nobody knows of it
    return "reminder" if earlier else "new"
