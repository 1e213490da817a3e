"""Do the receiver's log and the database agree? Every disagreement is a sentence; none is what the suite is for."""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, Q

from checks.models import CheckResult, Finding, Run
from integrations.models import Integration
from notifications.delivery.fairness import BURST
from notifications.models import Attempt, Audience, Delivery, Event, Subscription
from tests.faults.receiver import ACCEPTED, REFUSALS

LOST = "The worker died or lost its lease"


@dataclass
class Request:
    number: int
    at: float
    sha: str
    answer: str
    path: str
    ended: float = float("inf")


@dataclass
class Log:
    requests: dict[str, list[Request]] = field(default_factory=lambda: defaultdict(list))
    tokens: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def read(path: Path) -> Log:
    log, by_number = Log(), {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["kind"] == "token":
            log.tokens[entry["answer"]] += 1
        elif entry["kind"] == "out":
            by_number[entry["number"]].ended = entry["at"]
        else:
            request = Request(entry["number"], entry["at"], entry["sha"], entry["answer"], entry["path"])
            by_number[request.number] = request
            log.requests[entry["id"]].append(request)
            if entry["named"] != entry["id"] or entry["signature"] != "ok" or entry["credentials"] == "bad":
                log.wrong.append(f"request {entry['number']} to {entry['path']}: {entry}")
    return log


@dataclass
class Report:
    """``problems`` is empty where the promise held."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def problem(self, text: str, *examples: object) -> None:
        shown = ", ".join(str(example) for example in examples[:5])
        self.problems.append(f"{text} ({len(examples)}): {shown}" if examples else text)

    def none_of(self, text: str, found: "list[Any]") -> None:
        if found:
            self.problem(text, *found)


def compare(path: Path) -> Report:
    report, log = Report(), read(path)
    deliveries = {str(row["id"]): row for row in _deliveries()}
    attempts = _attempts()
    _bytes(report, log, deliveries)
    _states(report, log, deliveries)
    _attempts_match(report, log, deliveries, attempts)
    _overlaps(report, log, attempts)
    _rates(report, log)
    _coverage(report)
    _runs(report)
    _figures(report, log, deliveries, attempts)
    return report


def _deliveries() -> list[dict[str, Any]]:
    names = ("id", "state", "reason", "body", "replays", "attempts", "integration__name", "audience")
    return list(Delivery.objects.values(*names, "integration__max_attempts"))


def _attempts() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for delivery, outcome, reason in Attempt.objects.values_list("delivery_id", "outcome", "reason"):
        found[str(delivery)].append((outcome, reason))
    return found


def _bytes(report: Report, log: Log, deliveries: dict[str, dict[str, Any]]) -> None:
    """Every request is one of the database's deliveries, with its id, its bytes, its signature."""
    report.none_of("wrong id in the body, signature or credentials", log.wrong)
    report.none_of(
        "received, but unknown to the database", [id for id in log.requests if id not in deliveries]
    )
    kept = {
        id: hashlib.sha256(bytes(row["body"])).hexdigest()
        for id, row in deliveries.items()
        if row["body"] is not None
    }
    changed = [
        id for id, found in log.requests.items() if {request.sha for request in found} != {kept.get(id)}
    ]
    report.none_of("received with other bytes than the database keeps", changed)


def _states(report: Report, log: Log, deliveries: dict[str, dict[str, Any]]) -> None:
    """All is settled: received with a 2xx, or a dead letter with a reason that the log bears out."""
    by_state: dict[str, list[str]] = defaultdict(list)
    for id, row in deliveries.items():
        by_state[row["state"]].append(id)
    report.none_of("not settled", [*by_state["held"], *by_state["due"], *by_state["sending"]])

    def answers(id: str) -> set[str]:
        return {request.answer for request in log.requests.get(id, [])}

    report.none_of(
        "delivered by the database, never received with a 2xx",
        [id for id in by_state["delivered"] if not answers(id) & set(ACCEPTED)],
    )
    report.none_of(
        "neither delivered nor a dead letter with a reason",
        [id for id in (*by_state["dead"], *by_state["skipped"]) if not deliveries[id]["reason"]],
    )
    unfounded = [
        f"{id} {row['reason']}"
        for id in by_state["dead"]
        if (row := deliveries[id])
        and not answers(id) & {*REFUSALS, "401", "410"}
        and "disabled" not in row["reason"]
        and not row["reason"].startswith("Given up after")
    ]
    report.none_of("a dead letter whose reason the receiver's log does not bear out", unfounded)


def _attempts_match(
    report: Report,
    log: Log,
    deliveries: dict[str, dict[str, Any]],
    attempts: dict[str, list[tuple[str, str]]],
) -> None:
    """No request without an attempt on record; attempts bounded by the target's limit, per replay."""
    unrecorded, unbounded = [], []
    for id, row in deliveries.items():
        sent, known = len(log.requests.get(id, [])), len(attempts.get(id, []))
        # A 401 allows one second request within the attempt.
        allowed = known + sum(request.answer == "401" for request in log.requests.get(id, []))
        if sent > allowed:
            unrecorded.append(f"{id} {row['integration__name']} {sent} requests, {known} attempts")
        if row["attempts"] > (row["integration__max_attempts"] or 185):
            unbounded.append(id)
    report.none_of("more requests than attempts on record", unrecorded)
    report.none_of("more attempts than the target allows", unbounded)


def _overlaps(report: Report, log: Log, attempts: dict[str, list[tuple[str, str]]]) -> None:
    """One send of a delivery at a time, and one more for each of its leases that ran out."""
    unfounded, thrice = [], 0
    for id, requests in log.requests.items():
        most = _at_a_time(requests)
        lost = sum(reason.startswith(LOST) for _, reason in attempts.get(id, []))
        if most > 1 + lost:
            unfounded.append(f"{id} {most} at once, {lost} leases lost: {_listed(requests)}")
        thrice += most > 2
    report.none_of("sends under way at once without a lost lease for each but the first", unfounded)
    report.figures["three sends at once"] = thrice
    report.figures["overlaps"] = sum(_at_a_time(requests) > 1 for requests in log.requests.values())


def _listed(requests: list[Request]) -> str:
    """Each request in its time: what a reader of a failed night needs, since the folder may be gone."""
    first = min(request.at for request in requests)
    return "; ".join(
        f"{request.path} {request.at - first:.3f}-{request.ended - first:.3f} s {request.answer}"
        for request in sorted(requests, key=lambda request: request.at)
    )


def _at_a_time(requests: list[Request]) -> int:
    moments = sorted([(r.at, 1) for r in requests] + [(r.ended, -1) for r in requests])
    now = most = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


def _rates(report: Report, log: Log) -> None:
    """By the receiver's clock, over any time, no more requests than the target's rate allows.

    A worker spends the allowance when it claims, and may begin the send until half of the lease is over.
    """
    for target in Integration.objects.exclude(per_second=None):
        times = sorted(
            request.at
            for requests in log.requests.values()
            for request in requests
            if request.path == f"/{target.name}"
        )
        rate = target.per_second or 0.0
        slack = 1 + rate * (BURST.total_seconds() + settings.LEASE_SECONDS / 2)
        excess = _excess(times, rate)
        report.figures[f"{target.name}: requests beyond {rate:g} a second"] = round(excess, 1)
        if excess > slack:
            report.problem(
                f"{target.name}: {excess:.0f} requests beyond {rate:g} a second, {slack:.0f} allowed"
            )


def _excess(times: list[float], rate: float) -> float:
    """The most by which the requests between any two of them outnumber ``rate`` times the time between."""
    most = below = 0.0
    for place, at in enumerate(times):
        level = place - rate * (at - times[0])
        below = min(below, level)
        most = max(most, level - below + 1)
    return most


def _coverage(report: Report) -> None:
    """Every finding of a notifying run whose check had subscribers: an event, and each subscriber's delivery."""
    subscriptions = list(Subscription.objects.select_related("check_ref", "integration"))
    for subscription in subscriptions:
        check, target, audience = subscription.check_ref, subscription.integration, subscription.audience
        name = f"{check.slug} → {target.name} ({audience})"
        findings = Finding.objects.filter(check_ref=check)
        mine = Delivery.objects.filter(event__check_ref=check, integration=target, audience=audience)
        if audience == Audience.LIST:
            _lists(report, name, findings, mine)
        else:
            notified = Counter(mine.values_list("finding_id", flat=True))
            report.none_of(
                f"{name}: findings nobody was notified of",
                list(set(findings.values_list("id", flat=True)) - set(notified)),
            )
            report.none_of(
                f"{name}: notified twice of one finding", [id for id, count in notified.items() if count > 1]
            )
    subscribed = {subscription.check_ref_id for subscription in subscriptions}
    events = set(Event.objects.filter(origin="run").values_list("run_id", "check_ref_id"))
    pairs = (
        Finding.objects.filter(check_ref__in=subscribed)
        .values_list("opened_run_id", "check_ref_id")
        .distinct()
    )
    report.none_of("findings without an event", [pair for pair in pairs if pair not in events])
    doubled = (
        Finding.objects.values("check_ref", "user")
        .annotate(count=Count("id"))
        .filter(count__gt=1)
        .values_list("user")
    )
    report.none_of("two findings of one user and check", list(doubled))


def _lists(report: Report, name: str, findings: Any, mine: Any) -> None:
    logins: Counter[str] = Counter()
    for body in mine.values_list("body", flat=True):
        logins.update(json.loads(bytes(body))["detail"]["usersFailing"])
    expected = set(findings.values_list("user__name", flat=True))
    report.none_of(f"{name}: users missing from the lists", list(expected - set(logins)))
    report.none_of(f"{name}: users listed twice", [login for login, count in logins.items() if count > 1])


def _runs(report: Report) -> None:
    """Never two at a time, and none left live."""
    report.none_of("runs left live", list(Run.objects.filter(state__in=Run.LIVE)))
    worked = (
        CheckResult.objects.values_list("run_id").annotate(Min("finished_at"), Max("finished_at")).order_by()
    )
    spans = sorted(worked, key=lambda row: row[1])
    for (first, _, end), (second, begin, _) in pairwise(spans):
        if begin < end:
            report.problem("two runs worked at once", first, second)
    report.figures["runs"] = dict(Run.objects.values_list("state").annotate(Count("id")).order_by())


def _figures(
    report: Report,
    log: Log,
    deliveries: dict[str, dict[str, Any]],
    attempts: dict[str, list[tuple[str, str]]],
) -> None:
    sends = sum(len(requests) for requests in log.requests.values())
    after_well = sum(
        max(0, sum(request.answer in ACCEPTED for request in requests) - 1)
        for requests in log.requests.values()
    )
    states = Counter(row["state"] for row in deliveries.values())
    report.figures |= {
        "deliveries": len(deliveries),
        "to send": len(deliveries) - states["skipped"],
        **{f"state {name}": count for name, count in states.items()},
        "requests": sends,
        "distinct ids": len(log.requests),
        "repeats": sends - len(log.requests),
        "received well more than once": after_well,
        "replays": sum(row["replays"] for row in deliveries.values()),
        "attempts": sum(len(found) for found in attempts.values()),
        "lost attempts": sum(reason.startswith(LOST) for found in attempts.values() for _, reason in found),
        "breakers open": Integration.objects.filter(~Q(breaker_until=None)).count(),
        "answers": dict(
            Counter(
                request.answer for requests in log.requests.values() for request in requests
            ).most_common()
        ),
        "token answers": dict(log.tokens.most_common()),
    }
