"""Runs: one evaluation of some or all checks. One run is live at a time, and a check that cannot run does not end it."""

import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import psutil
from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from checks.catalogue import CATALOGUE, catalogue_check, catalogue_position
from checks.engine import evaluate
from checks.engine.evaluate import CheckCounts
from checks.engine.rules import Rule, build_rule
from checks.engine.unknown_causes import UnknownCause, as_json
from checks.errors import ChecksError
from checks.models import Check, CheckResult, Exclusion, Finding, Member, Run
from cii_project.audit import services as audit

log = logging.getLogger(__name__)

# A run on another host is dead after this long without a heartbeat.
HEARTBEAT_TIMEOUT = timedelta(minutes=10)
# If a process started later than its run by more than this, its id was reused: the run's own process is gone.
CLOCK_TOLERANCE = timedelta(seconds=5)

OnFindings = Callable[[Run, Check, CheckResult], object]
Progress = Callable[[int, int, str], object]


class RunRefused(ChecksError):
    """Another run is live. The message says which, since when, and what to do."""


class UnknownChecks(ChecksError):
    """A check that was asked for does not exist or is disabled. The message says which."""


class RunLost(ChecksError):
    """Another process declared this run dead and may be evaluating: this one stops."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The result that a run now would have for one check. ``causes``: why users are unknown or stale;
    ``error``: why the check cannot run, else empty."""

    slug: str
    title: str
    evaluated: int = 0
    failing: int = 0
    new: int = 0
    resolved: int = 0
    unknown: int = 0
    stale: int = 0
    causes: Sequence[UnknownCause] = ()
    error: str = ""


def request_run(
    *, trigger: str, slugs: Sequence[str] = (), notify: bool = True, requested_by: Member | None = None
) -> Run:
    """Create a queued run for a worker. Raises :class:`RunRefused` when another is live, :class:`UnknownChecks`."""
    run = _create(
        Run(
            state=Run.State.QUEUED,
            trigger=trigger,
            slugs=validated_slugs(slugs),
            notify=notify,
            requested_by_id=requested_by.pk if requested_by else None,
        )
    )
    log.info("Run requested", extra={"run_id": run.pk, "trigger": trigger, "checks": run.slugs or "all"})
    return run


def cancel_run(run: Run) -> bool:
    """Remove a run that still waits for a worker; returns whether it was waiting. A run that has started is
    not stopped: its results are committed check by check."""
    with transaction.atomic():
        waiting = Run.objects.select_for_update().filter(pk=run.pk, state=Run.State.QUEUED).first()
        if waiting is None:
            return False
        audit.record(audit.Action.ACT, waiting, "Cancelled the run before it started")
        waiting.delete()
    log.info("Run cancelled before it started", extra={"run_id": run.pk})
    return True


def run_checks(
    *,
    trigger: str,
    slugs: Sequence[str] = (),
    notify: bool = True,
    requested_by: Member | None = None,
    run: Run | None = None,
    on_findings: OnFindings | None = None,
    progress: Progress | None = None,
) -> Run:
    """Evaluate all users by the checks ``slugs`` (none: all enabled) and write the findings.

    ``run``: one from :func:`request_run`; its own checks count instead of ``slugs``.
    ``on_findings(run, check, result)`` is called for each check whose findings change, inside the transaction that
    writes them: what it writes commits with them, and if it raises, neither is kept.
    ``progress(done, total, text)``: checks done and in total, and the one just done.

    Raises :class:`RunRefused` when another run is live, :class:`UnknownChecks`, :class:`RunLost`.
    """
    if run is None:
        run = Run(
            state=Run.State.RUNNING,
            trigger=trigger,
            slugs=validated_slugs(slugs),
            notify=notify,
            requested_by_id=requested_by.pk if requested_by else None,
        )
        for name, value in _process().items():
            setattr(run, name, value)
        run = _create(run)
    else:
        _claim(run)
    with bound_contextvars(run_id=run.pk), _ending(run), evaluate.session():
        log.info("Run started", extra={"trigger": run.trigger, "checks": run.slugs or "all"})
        _evaluate(run, on_findings, progress or (lambda done, total, text: None))
    return run


def preview_run(slugs: Sequence[str] = ()) -> list[Preview]:
    """The results that :func:`run_checks` would have now. Writes only temporary tables."""
    now = timezone.now()
    checks = selected_checks(validated_slugs(slugs))
    with evaluate.session():
        evaluated = evaluate_users(checks, now)
    previews = {
        rule.check.slug: _preview(rule, evaluated.counts[rule.check.slug]) for rule in evaluated.rules
    }
    return [
        previews.get(check.slug)
        or Preview(
            check.slug, catalogue_check(check.slug).title, error=_summary(evaluated.errors[check.slug])
        )
        for check in checks
    ]


def _preview(rule: Rule, counts: CheckCounts) -> Preview:
    return Preview(
        rule.check.slug,
        catalogue_check(rule.check.slug).title,
        evaluated=counts.evaluated,
        failing=counts.failing,
        new=counts.opens,
        resolved=counts.resolves,
        unknown=counts.unknown,
        stale=counts.stale,
        causes=counts.causes,
    )


def reap_dead_runs() -> list[Run]:
    """Mark as died the running runs whose process is gone, and return them. Queued runs stay: a sweep hands them to a
    worker again."""
    dead = []
    for run in Run.objects.filter(state=Run.State.RUNNING):
        reason = _reason_of_death(run, timezone.now())
        if not reason:
            continue
        died = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
            state=Run.State.DIED, finished_at=timezone.now(), error=reason
        )
        if died:
            log.warning("Run died", extra={"run_id": run.pk, "reason": reason, "phase": run.phase})
            run.refresh_from_db()
            dead.append(run)
    return dead


def _reason_of_death(run: Run, now: datetime) -> str:
    """Why the run counts as dead; empty while it is alive."""
    if run.host == platform.node() and run.pid is not None:
        started = run.started_at or run.created_at
        try:
            born = psutil.Process(run.pid).create_time()
        except psutil.NoSuchProcess:
            return f"Process {run.pid} on {run.host} is gone."
        except psutil.AccessDenied:
            return ""
        if born > (started + CLOCK_TOLERANCE).timestamp():
            return f"Process {run.pid} on {run.host} is gone; another process has its id now."
        return ""
    heard = run.heartbeat_at or run.started_at or run.created_at
    if now - heard > HEARTBEAT_TIMEOUT:
        return f"No heartbeat from {run.host or 'its host'} since {heard:%Y-%m-%d %H:%M} UTC."
    return ""


def validated_slugs(slugs: Sequence[str]) -> list[str]:
    """The slugs in catalogue order, each once."""
    unknown = sorted(set(slugs) - set(CATALOGUE))
    if unknown:
        raise UnknownChecks(f"Unknown check: {', '.join(unknown)}. The checks are: {', '.join(CATALOGUE)}.")
    disabled = sorted(Check.objects.filter(slug__in=slugs, enabled=False).values_list("slug", flat=True))
    if disabled:
        raise UnknownChecks(f"Disabled: {', '.join(disabled)}. Enable a check before you run it.")
    return [slug for slug in CATALOGUE if slug in slugs]


def selected_checks(slugs: Sequence[str]) -> list[Check]:
    """The enabled checks of these slugs (none: all), in catalogue order."""
    wanted = set(slugs or CATALOGUE)
    enabled = Check.objects.filter(enabled=True, slug__in=wanted & set(CATALOGUE))
    return sorted(enabled, key=lambda check: catalogue_position(check.slug))


def _process() -> dict[str, datetime | str | int]:
    """The columns of a run that name this process and the present."""
    now = timezone.now()
    return {"started_at": now, "heartbeat_at": now, "host": platform.node(), "pid": os.getpid()}


def _create(run: Run) -> Run:
    reap_dead_runs()
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        live = Run.objects.filter(state__in=Run.LIVE).first()
        log.warning(
            "Run refused: another is live",
            extra={"trigger": run.trigger, "live_run": live and live.pk, "state": live and live.state},
        )
        raise RunRefused(_refusal(live)) from None
    return run


def _refusal(live: Run | None) -> str:
    if live is None:
        return "Another run has only just ended. Try again."
    how = live.get_trigger_display().lower()
    if live.state == Run.State.QUEUED:
        return (
            f"A run ({how}) has been waiting for a worker since {live.created_at:%Y-%m-%d %H:%M:%S} UTC. Wait for it; "
            "if nothing happens, make sure that a worker is running."
        )
    return (
        f"A run ({how}) has been running since {live.started_at:%Y-%m-%d %H:%M:%S} UTC on {live.host}, process "
        f"{live.pid}; it is at “{live.phase}”. Wait until it has ended, then try again."
    )


def _claim(run: Run) -> None:
    claimed = Run.objects.filter(pk=run.pk, state=Run.State.QUEUED).update(
        state=Run.State.RUNNING, **_process()
    )
    if not claimed and not Run.objects.filter(pk=run.pk).exists():
        raise RunRefused("This run was cancelled before it started. Request a new one.")
    run.refresh_from_db()
    if not claimed:
        log.warning("Run refused: it is not queued", extra={"run_id": run.pk, "state": run.state})
        raise RunRefused(f"This run is {run.get_state_display().lower()} already. Request a new one.")


@contextmanager
def _ending(run: Run) -> Iterator[None]:
    """Record the end of the run, also after an exception in the block. The next run does what is left."""
    try:
        yield
    except RunLost as error:
        log.warning("Run stopped: it was declared dead", extra={"phase": run.phase, "reason": str(error)})
        run.refresh_from_db()
        raise
    except BaseException as error:
        Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(
            state=Run.State.FAILED, finished_at=timezone.now(), error=_summary(error)
        )
        log.exception("Run failed", extra={"phase": run.phase})
        raise


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The protected users, the rules that could be evaluated, their counts by slug, and the errors of the others by
    slug."""

    users: int
    rules: Sequence[Rule]
    counts: Mapping[str, CheckCounts]
    errors: Mapping[str, Exception]


def _evaluate(run: Run, on_findings: OnFindings | None, progress: Progress) -> None:
    now = run.started_at
    assert now is not None  # noqa: S101  set when the run was claimed
    checks = selected_checks(run.slugs)
    _heartbeat(run, "Evaluating all users")
    progress(0, len(checks), "Evaluating all users")
    started = monotonic()
    evaluated = evaluate_users(checks, now)
    run.users = evaluated.users
    share = (monotonic() - started) / max(1, len(checks))

    unchanged = [rule for rule in evaluated.rules if not evaluated.counts[rule.check.slug].has_changes]
    _record_unchanged(run, unchanged, evaluated.counts, share)
    changing = {
        rule.check.slug: rule for rule in evaluated.rules if evaluated.counts[rule.check.slug].has_changes
    }
    failed = 0
    for index, check in enumerate(checks, start=1):
        phase = f"{index} of {len(checks)} checks"
        error = evaluated.errors.get(check.slug)
        if rule := changing.get(check.slug):
            error = _record_changes(run, rule, evaluated.counts[check.slug], share, phase, on_findings)
        if error is not None:
            failed += 1
            _record_error(run, check, error, phase)
        progress(index, len(checks), catalogue_check(check.slug).title)
    _finish(run, failed=failed, succeeded=len(checks) - failed)


def evaluate_users(checks: Sequence[Check], now: datetime) -> Evaluated:
    """Evaluate all users by those of the checks that can be evaluated."""
    excluding = set(Exclusion.objects.active_at(now).values_list("check_ref_id", flat=True).distinct())
    rules: list[Rule] = []
    errors: dict[str, Exception] = {}
    for check in checks:
        try:
            rules.append(build_rule(check, now, excluding=check.pk in excluding))
        except Exception as error:
            log.exception("Check has no rule", extra={"check": check.slug})
            errors[check.slug] = error
    try:
        evaluation = evaluate.evaluate(rules, now)
    except Exception:
        wrong = evaluate.errors_by_rule(rules)
        if not wrong:
            raise
        log.exception("Checks cannot be evaluated", extra={"checks": sorted(wrong)})
        errors |= wrong
        rules = [rule for rule in rules if rule.check.slug not in wrong]
        evaluation = evaluate.evaluate(rules, now)
    return Evaluated(evaluation.users, rules, evaluation.counts, errors)


def _record_unchanged(
    run: Run, rules: Sequence[Rule], counts: Mapping[str, CheckCounts], share: float
) -> None:
    """Record the checks whose findings do not change, in one transaction: on most days these are most checks."""
    with transaction.atomic():
        results = [_result(run, rule, counts[rule.check.slug], share) for rule in rules]
        CheckResult.objects.bulk_create(results)
        for rule, result in zip(rules, results, strict=True):
            _log_result(rule, counts[rule.check.slug], result)
        _heartbeat(run, f"{len(rules)} checks found nothing new")


def _record_changes(
    run: Run, rule: Rule, counts: CheckCounts, share: float, phase: str, on_findings: OnFindings | None
) -> Exception | None:
    """Write one check's findings and counts and call ``on_findings``, all or nothing; returns the error."""
    try:
        try:
            _change_findings(run, rule, counts, share, phase, on_findings)
        except IntegrityError:
            # A user was deleted since the pass: repeat without that user.
            evaluate.forget_deleted_users()
            _change_findings(run, rule, counts, share, phase, on_findings)
    except RunLost:
        raise
    except Exception as error:
        log.exception("Check failed", extra={"check": rule.check.slug})
        return error
    return None


def _change_findings(
    run: Run, rule: Rule, counts: CheckCounts, share: float, phase: str, on_findings: OnFindings | None
) -> None:
    started = monotonic()
    with transaction.atomic():
        if counts.settles:
            evaluate.settle_findings(rule)
        if counts.reopens:
            evaluate.reopen_findings(rule)
        new = evaluate.open_findings(rule, run) if counts.opens else 0
        resolved = evaluate.resolve_findings(rule, run) if counts.resolves else 0
        result = _result(run, rule, counts, share + monotonic() - started, new, resolved)
        result.save()
        if on_findings is not None:
            on_findings(run, rule.check, result)
        _heartbeat(run, phase)
    _log_result(rule, counts, result)


def _log_result(rule: Rule, counts: CheckCounts, result: CheckResult) -> None:
    level = logging.INFO if counts.has_changes or counts.stale else logging.DEBUG
    log.log(
        level,
        "Check evaluated",
        extra={
            "check": rule.check.slug,
            "evaluated": result.evaluated,
            "failing": result.failing,
            "opened": result.new,
            "reopened": counts.reopens,
            "resolved": result.resolved,
            "suspended": counts.suspends,
            "unknown": result.unknown,
            "stale": result.stale,
            "duration_ms": result.duration_ms,
        },
    )


def _record_error(run: Run, check: Check, error: Exception, phase: str) -> None:
    CheckResult.objects.create(
        run=run,
        check_ref=check,
        severity=check.severity,
        error=_summary(error),
        finished_at=timezone.now(),
    )
    _heartbeat(run, phase)


def _result(
    run: Run, rule: Rule, counts: CheckCounts, seconds: float, new: int = 0, resolved: int = 0
) -> CheckResult:
    return CheckResult(
        run=run,
        check_ref=rule.check,
        severity=rule.check.severity,
        evaluated=counts.evaluated,
        failing=counts.failing,
        new=new,
        resolved=resolved,
        unknown=counts.unknown,
        stale=counts.stale,
        unknown_causes=as_json(counts.causes),
        finished_at=timezone.now(),
        duration_ms=round(1000 * seconds),
    )


def _heartbeat(run: Run, phase: str) -> None:
    """Record that the run is alive, and at which phase. Raises :class:`RunLost` if another process ended it."""
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
    failing = Finding.objects.filter(resolved_at__isnull=True).aggregate(users=Count("user", distinct=True))
    run.failing_users = failing["users"]
    run.finished_at, run.phase = timezone.now(), ""
    run.save(update_fields=["state", "error", "finished_at", "phase", "users", "failing_users"])
    log.info("Run finished", extra={"state": run.state, "users": run.users, "failed_checks": failed})


def _summary(error: BaseException) -> str:
    """The error as one line of at most about 1,000 characters."""
    text = " ".join(str(error).split())[:1000]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
