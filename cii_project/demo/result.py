"""Whether what the database holds and what the receiver logged agree."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from checks.models import Run
from notifications.models import Delivery, Subscription


@dataclass(frozen=True, slots=True)
class Row:
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
    """What the receiver's log holds: verified event id → users in it, and how often it came.

    ``rejected`` counts requests, not events: a token that an earlier receiver issued is refused once, then renewed.
    """

    users: dict[str, int]
    times: Counter[str]
    rejected: int

    @property
    def repeats(self) -> int:
        return sum(self.times.values()) - len(self.times)


def read_log(path: Path) -> Received:
    users: dict[str, int] = {}
    times: Counter[str] = Counter()
    rejected = 0
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            entry = json.loads(line)
            verdict = entry["verdict"]
            if "token" in verdict:
                continue
            if not verdict["ok"]:
                rejected += 1
                continue
            times[verdict["id"]] += 1
            users[verdict["id"]] = len(json.loads(entry["body"])["detail"].get("usersFailing", []))
    return Received(users, times, rejected)


def rows_of(run: Run, received: Received) -> list[Row]:
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
        Row(
            check=result.check_ref.slug,
            failing=result.failing,
            new=result.new,
            targets=targets[result.check_ref.slug],
            delivered=delivered[result.check_ref.slug],
            verified=verified[result.check_ref.slug],
            error=result.error,
        )
        for result in run.results.select_related("check_ref").order_by("check_ref__slot")
    ]


def table_of(rows: list[Row]) -> Table:
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


def disagreements(rows: list[Row], received: Received) -> list[str]:
    """What does not agree, a sentence each; over all runs of this folder, not this one alone."""
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
    if foreign := received.users.keys() - known:
        found.append(f"{len(foreign)} events of the receiver's log are unknown here, such as {min(foreign)}")
    return found
