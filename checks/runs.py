"""Runs: one evaluation of some or all checks, one at a time, finished even if some checks fail to run."""

import logging
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import psutil
from django.db import IntegrityError, transaction
from django.utils import timezone

from checks import evaluation
from checks.catalogue import CATALOGUE, get
from checks.models import Check, CheckResult, Run
from checks.rules import Rule, active_exclusions, build_rule
from checks.verdicts import Tallies, Verdict

log = logging.getLogger(__name__)

# Without a sign of life for this long, a run on another host counts as dead.
SILENCE = timedelta(minutes=10)
# A process that is younger than its run by more than this got the number of one that is gone.
CLOCK_SLACK = timedelta(seconds=5)

OnFindings = Callable[[Run, Check, CheckResult], Any]
Progress = Callable[[int, int, str], Any]


class RunRefused(Exception):
    """Another run is live; the message says which, since when, and what to do."""


class UnknownChecks(ValueError):
    """A check was asked for that does not exist or is disabled; the message says which."""


class RunLost(RuntimeError):
    """This run was declared dead by another process, which may be judging already: stop."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would find for one check now."""

    slug: str
    title: str
    evaluated: int = 0
    failing: int = 0
    new: int = 0
    resolved: int = 0
    unknown: int = 0
    error: str = ""


def request_run(
    *, trigger: str, slugs: Sequence[str] = (), notify: bool = True, requested_by: Any = None
) -> Run:
    """A queued run, for a worker to pick up. Raises :class:`RunRefused` when one is live."""
    return _create(
        state=Run.State.QUEUED,
        trigger=trigger,
        slugs=_validated(slugs),
        notify=notify,
        requested_by=requested_by,
    )


def run_checks(
    *,
    trigger: str,
    slugs: Sequence[str] = (),
    notify: bool = True,
    requested_by: Any = None,
    run: Run | None = None,
    on_findings: OnFindings | None = None,
    progress: Progress | None = None,
) -> Run:
    """Judges all users by the checks ``slugs`` (none: all enabled) and keeps the findings.

    ``run`` is one from :func:`request_run`, whose own slugs then hold. ``on_findings(run, check, result)``
    is called inside the transaction that has just written a check's findings: what it writes commits
    with them, and if it raises, neither is kept. A check of whose findings none changed has no such
    transaction. ``progress(done, total, text)``.
    Raises :class:`RunRefused` when another run is live, :class:`UnknownChecks`.
    """
    if run is None:
        run = _create(
            state=Run.State.RUNNING,
            trigger=trigger,
            slugs=_validated(slugs),
            notify=notify,
            requested_by=requested_by,
            **_signature(),
        )
    else:
        _claim(run)
    with _ending(run), evaluation.session():
        _evaluate(run, on_findings, progress or (lambda done, total, text: None))
    return run


def preview_run(slugs: Sequence[str] = ()) -> list[Preview]:
    """What :func:`run_checks` would find now. Writes nothing but a temporary table."""
    now = timezone.now()
    checks = _selected(_validated(slugs))
    with evaluation.session():
        surveyed = evaluation.survey(_counted())
        rules, errors = _judge(checks, now, surveyed.last)
        tallies = evaluation.count(surveyed)
    judged = {rule.check.slug: _preview(rule, tallies) for rule in rules}
    return [
        judged.get(check.slug) or Preview(check.slug, get(check.slug).title, error=_told(errors[check.slug]))
        for check in checks
    ]


def _preview(rule: Rule, tallies: Tallies) -> Preview:
    return Preview(
        rule.check.slug,
        get(rule.check.slug).title,
        evaluated=tallies.evaluated(rule.place),
        failing=tallies.now(rule.place, Verdict.FAILS),
        new=tallies.newly_failing(rule.place),
        resolved=tallies.no_longer_failing(rule.place),
        unknown=tallies.now(rule.place, Verdict.UNKNOWN),
    )


def reap_dead_runs() -> list[Run]:
    """Marks as died the runs whose process is gone. Queued runs are left: a sweep hands them out again."""
    dead = []
    for run in Run.objects.filter(state=Run.State.RUNNING):
        reason = _death(run, timezone.now())
        if not reason:
            continue
        died = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
            state=Run.State.DIED, finished_at=timezone.now(), error=reason
        )
        if died:
            run.refresh_from_db()
            dead.append(run)
    return dead


def _death(run: Run, now: datetime) -> str:
    """Why the run counts as dead, empty while it lives."""
    if run.host == platform.node() and run.pid is not None:
        started = run.started_at or run.created_at
        try:
            born = psutil.Process(run.pid).create_time()
        except psutil.NoSuchProcess:
            return f"Process {run.pid} on {run.host} is gone."
        except psutil.AccessDenied:
            return ""
        if born > (started + CLOCK_SLACK).timestamp():
            return f"Process {run.pid} on {run.host} is gone; another one has its number now."
        return ""
    heard = run.heartbeat_at or run.started_at or run.created_at
    if now - heard > SILENCE:
        return f"No sign of life from {run.host or 'its host'} since {heard:%Y-%m-%d %H:%M} UTC."
    return ""


def _validated(slugs: Sequence[str]) -> list[str]:
    """The slugs in catalogue order, each once."""
    unknown = sorted(set(slugs) - set(CATALOGUE))
    if unknown:
        raise UnknownChecks(f"No such check: {', '.join(unknown)}. The checks are: {', '.join(CATALOGUE)}.")
    disabled = sorted(Check.objects.filter(slug__in=slugs, enabled=False).values_list("slug", flat=True))
    if disabled:
        raise UnknownChecks(f"Disabled: {', '.join(disabled)}. Enable a check before you run it.")
    return [slug for slug in CATALOGUE if slug in slugs]


def _selected(slugs: Sequence[str]) -> list[Check]:
    """The enabled checks of these slugs (none: all), in catalogue order."""
    wanted = set(slugs or CATALOGUE)
    enabled = Check.objects.filter(enabled=True, slug__in=wanted & set(CATALOGUE))
    order = list(CATALOGUE)
    return sorted(enabled, key=lambda check: order.index(check.slug))


def _signature() -> dict[str, Any]:
    now = timezone.now()
    return {"started_at": now, "heartbeat_at": now, "host": platform.node(), "pid": os.getpid()}


def _create(**values: Any) -> Run:
    reap_dead_runs()
    try:
        with transaction.atomic():
            return Run.objects.create(**values)
    except IntegrityError:
        live = Run.objects.filter(state__in=Run.LIVE).first()
        raise RunRefused(_refusal(live)) from None


def _refusal(live: Run | None) -> str:
    if live is None:
        return "Another run has only just ended. Try again."
    how = live.get_trigger_display().lower()
    if live.state == Run.State.QUEUED:
        return (
            f"A run ({how}) is waiting for a worker since {live.created_at:%Y-%m-%d %H:%M:%S} UTC. Wait for it; if "
            "nothing happens, see that a worker runs (manage.py qcluster)."
        )
    return (
        f"A run ({how}) is under way since {live.started_at:%Y-%m-%d %H:%M:%S} UTC on {live.host}, process "
        f"{live.pid}, at “{live.phase}”. Wait until it has ended, then try again."
    )


def _claim(run: Run) -> None:
    claimed = Run.objects.filter(pk=run.pk, state=Run.State.QUEUED).update(
        state=Run.State.RUNNING, **_signature()
    )
    run.refresh_from_db()
    if not claimed:
        raise RunRefused(f"This run is {run.get_state_display().lower()} already; request a new one.")


@contextmanager
def _ending(run: Run) -> Iterator[None]:
    """Whatever happens, the run does not stay live; the next one repairs what this one left unsettled."""
    try:
        yield
    except RunLost:
        run.refresh_from_db()
        raise
    except BaseException as error:
        Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
            state=Run.State.FAILED, finished_at=timezone.now(), error=_told(error)
        )
        raise


def _evaluate(run: Run, on_findings: OnFindings | None, progress: Progress) -> None:
    now = run.started_at
    assert now is not None  # noqa: S101  set when the run was claimed
    before = _counted(run)
    for unsettled in Run.objects.filter(settled=False, started_at__isnull=False).exclude(pk=run.pk):
        evaluation.repair(unsettled, lambda: _heartbeat(run, "Repairing what a run left"))
        before = {}
    checks = _selected(run.slugs)
    _heartbeat(run, "Judging all users")
    progress(0, len(checks), "Judging all users")
    started = monotonic()
    surveyed = evaluation.survey(before)
    run.users = surveyed.protected
    rules, errors = _judge(checks, now, surveyed.last)
    tallies = evaluation.count(surveyed)
    share = (monotonic() - started) / max(1, len(checks))

    by_slug = {rule.check.slug: rule for rule in rules}
    done = [rule for rule in rules if not tallies.findings_change(rule.place)]
    _record_quiet(run, done, tallies, share)
    quiet = {rule.check.slug for rule in done}
    for index, check in enumerate(checks, start=1):
        rule, error = by_slug.get(check.slug), errors.get(check.slug)
        phase = f"{index} of {len(checks)} checks"
        if rule is not None and check.slug not in quiet:
            try:
                try:
                    _record(run, rule, tallies, share, phase, on_findings)
                except IntegrityError:
                    # A user was deleted since the pass, which nothing here does: once more, without him.
                    evaluation.forget_gone()
                    _record(run, rule, tallies, share, phase, on_findings)
                done.append(rule)
            except RunLost:
                raise
            except Exception as caught:
                log.exception("Check %s failed in run %s", check.slug, run.pk)
                error = caught
        if error is not None:
            CheckResult.objects.create(
                run=run,
                check_ref=check,
                severity=check.severity,
                error=_told(error),
                finished_at=timezone.now(),
            )
            _heartbeat(run, phase)
        progress(index, len(checks), get(check.slug).title)

    evaluation.store_words(done, lambda: _heartbeat(run, "Storing the verdicts"))
    run.counted = surveyed.counted(tallies, done)
    _finish(run, failed=len(checks) - len(done), succeeded=len(done))


def _counted(run: Run | None = None) -> dict[str, Any]:
    """What the run before this one counted at its end; empty if it did not end well."""
    others = Run.objects.exclude(pk=run.pk) if run else Run.objects.all()
    earlier = others.filter(started_at__isnull=False).order_by("-started_at")
    return earlier.values_list("counted", flat=True).first() or {}


def _judge(checks: Sequence[Check], now: datetime, last: int) -> tuple[list[Rule], dict[str, Exception]]:
    """Judges all users up to the id ``last`` by as many of the checks as can be judged; the rules, and the
    others' errors by slug."""
    excluding = set(active_exclusions(now).values_list("check_ref_id", flat=True).distinct())
    rules: list[Rule] = []
    errors: dict[str, Exception] = {}
    for check in checks:
        try:
            rules.append(build_rule(check, now, excluding=check.pk in excluding))
        except Exception as error:
            log.exception("Check %s has no rule", check.slug)
            errors[check.slug] = error
    try:
        rules = evaluation.with_ordinary(rules)
        evaluation.judge(rules, last)
    except Exception:
        wrong = evaluation.rejected(rules)
        if not wrong:
            raise
        log.exception("Cannot be judged: %s", ", ".join(wrong))
        errors |= wrong
        rules = evaluation.with_ordinary([rule for rule in rules if rule.check.slug not in wrong])
        evaluation.judge(rules, last)
    return rules, errors


def _record_quiet(run: Run, rules: Sequence[Rule], tallies: Tallies, share: float) -> None:
    """The counts of the checks whose findings stay as they are, all at once: on most days these are most."""
    with transaction.atomic():
        CheckResult.objects.bulk_create(_result(run, rule, tallies, share) for rule in rules)
        _heartbeat(run, f"{len(rules)} checks found nothing new")


def _record(
    run: Run, rule: Rule, tallies: Tallies, share: float, phase: str, on_findings: OnFindings | None
) -> None:
    """One check's findings, counts and, through the callback, events: all or nothing."""
    started = monotonic()
    at = rule.place
    with transaction.atomic():
        new = evaluation.open_findings(rule, run) if tallies.newly_failing(at) else 0
        resolved = evaluation.resolve_findings(rule, run) if tallies.no_longer_failing(at) else 0
        result = _result(run, rule, tallies, share + monotonic() - started, new, resolved)
        result.save()
        if on_findings is not None:
            on_findings(run, rule.check, result)
        _heartbeat(run, phase)


def _result(
    run: Run, rule: Rule, tallies: Tallies, seconds: float, new: int = 0, resolved: int = 0
) -> CheckResult:
    return CheckResult(
        run=run,
        check_ref=rule.check,
        severity=rule.check.severity,
        evaluated=tallies.evaluated(rule.place),
        failing=tallies.now(rule.place, Verdict.FAILS),
        new=new,
        resolved=resolved,
        unknown=tallies.now(rule.place, Verdict.UNKNOWN),
        finished_at=timezone.now(),
        duration_ms=round(1000 * seconds),
    )


def _heartbeat(run: Run, phase: str) -> None:
    """A sign of life, and the question whether the run still counts as alive."""
    run.phase, run.heartbeat_at = phase, timezone.now()
    alive = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
        phase=run.phase, heartbeat_at=run.heartbeat_at, users=run.users
    )
    if not alive:
        raise RunLost(f"Run {run.pk} was declared dead while it was at “{phase}”.")


def _finish(run: Run, *, failed: int, succeeded: int) -> None:
    if not failed:
        run.state = Run.State.SUCCEEDED
    else:
        run.state = Run.State.PARTIAL if succeeded else Run.State.FAILED
        run.error = f"{failed} of {failed + succeeded} checks failed to run; their results say why."
    run.finished_at, run.settled, run.phase = timezone.now(), True, ""
    run.save(update_fields=["state", "error", "finished_at", "settled", "phase", "users", "counted"])


def _told(error: BaseException) -> str:
    """The error in one line, for the record."""
    text = " ".join(str(error).split())[:1000]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
