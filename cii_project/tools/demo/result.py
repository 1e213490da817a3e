"""Whether what the database holds and what the receiver logged agree."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from checks.models import Run
from checks.services import catalogue_position
from integrations.services import Json
from notifications.models import Delivery, Subscription


@dataclass(frozen=True, slots=True)
class CheckComparison:
    """One check: users; ``delivered`` and ``verified`` count each user once a target."""

    check: str
    failing: int
    new: int
    targets: int
    delivered: int
    verified: int
    error: str = ""

    @property
    def agrees(self) -> bool:
        return not self.error and self.delivered == self.verified == self.new * self.targets


@dataclass(frozen=True, slots=True)
class Received:
    """The content of the receiver's log: verified event id → users in it, the hash of its bytes, and how
    often it came; and the numbers of the lines that cannot be read, such as the last line of a killed
    receiver.

    ``rejected`` counts requests, not events: a token that an earlier receiver issued is refused once, then renewed.
    """

    users: dict[str, int]
    times: Counter[str]
    hashes: dict[str, str]
    rejected: int
    unreadable: list[int]

    @property
    def repeats(self) -> int:
        return sum(self.times.values()) - len(self.times)


def read_log(path: Path) -> Received:
    received = Received({}, Counter(), {}, 0, [])
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                received = _with_line(received, json.loads(line))
            except (ValueError, LookupError, TypeError, AttributeError):
                received.unreadable.append(number)
    return received


def _with_line(received: Received, entry: Json) -> Received:
    verification, body = entry["verification"], entry["body"]
    if "token" in verification:
        return received
    if not verification["ok"]:
        return replace(received, rejected=received.rejected + 1)
    ident = verification["id"]
    received.users[ident] = len(json.loads(body)["detail"].get("usersFailing", []))
    received.hashes[ident] = _hash(body.encode())
    received.times[ident] += 1
    return received


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def compare_run(run: Run, received: Received) -> list[CheckComparison]:
    """One row a check of the run."""
    delivered: Counter[str] = Counter()
    verified: Counter[str] = Counter()
    for ident, users, slug in Delivery.objects.filter(
        event__run=run, state=Delivery.State.DELIVERED
    ).values_list("id", "users", "event__check_ref__slug"):
        delivered[slug] += users
        verified[slug] += received.users.get(str(ident), 0)
    targets = Counter(Subscription.objects.values_list("check_ref__slug", flat=True))
    return [
        CheckComparison(
            check=result.check_ref.slug,
            failing=result.failing,
            new=result.new,
            targets=targets[result.check_ref.slug],
            delivered=delivered[result.check_ref.slug],
            verified=verified[result.check_ref.slug],
            error=result.error,
        )
        for result in sorted(
            run.results.select_related("check_ref"),
            key=lambda result: catalogue_position(result.check_ref.slug),
        )
    ]


def comparison_table(rows: list[CheckComparison]) -> Table:
    table = Table(title="delivered and verified count each user once a target", title_style="dim")
    table.add_column("check")
    for name in ("failing", "new", "targets", "delivered", "verified by the receiver"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (row.failing, row.new, row.targets, row.delivered, row.verified)
        table.add_row(row.check, *(f"{number:,}" for number in numbers), style=None if row.agrees else "red")
    totals = [sum(getattr(row, name) for row in rows) for name in ("failing", "new", "delivered", "verified")]
    failing, new, delivered, verified = (f"{total:,}" for total in totals)
    table.add_section()
    table.add_row("total", failing, new, "", delivered, verified, style="bold")
    return table


def disagreements(rows: list[CheckComparison], received: Received) -> list[str]:
    """The differences, a sentence each, over all runs of this folder."""
    found = [f"{row.check}: {row.error}" for row in rows if row.error]
    found += [
        f"{row.check}: {row.new} new for {row.targets} targets, {row.delivered} delivered, {row.verified} verified"
        for row in rows
        if not row.error and not row.agrees
    ]
    states = Counter(Delivery.objects.values_list("state", flat=True))
    undelivered = sum(states.values()) - states[Delivery.State.DELIVERED]
    if undelivered:
        found.append(f"{undelivered} deliveries are not delivered: {dict(states)}")
    known = {str(ident) for ident in Delivery.objects.values_list("id", flat=True)}
    if missing := known - received.users.keys():
        found.append(f"{len(missing)} deliveries are not in the receiver's log, such as {min(missing)}")
    bodies = Delivery.objects.filter(body__isnull=False).values_list("id", "body")
    sent = {str(ident): _hash(bytes(body or b"")) for ident, body in bodies.iterator()}
    if altered := [i for i, found_hash in received.hashes.items() if sent.get(i, found_hash) != found_hash]:
        found.append(f"{len(altered)} events came with other bytes than were sent, such as {min(altered)}")
    if foreign := received.users.keys() - known:
        found.append(f"{len(foreign)} events of the receiver's log are unknown here, such as {min(foreign)}")
    return found
