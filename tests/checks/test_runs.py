"""Runs: one at a time, never left live, and what an installation may set for a check."""

import importlib
import os
import pkgutil
import platform
import subprocess
import sys
from datetime import timedelta
from typing import Any

import psutil
import pytest
import structlog
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

import checks
from checks.catalogue import CATALOGUE
from checks.engine.runs import RunLost
from checks.errors import ChecksError
from checks.models import Check, Exclusion, Run
from checks.services import (
    RunRefused,
    UnknownChecks,
    effective_settings,
    exclude_user,
    preview_run,
    reap_dead_runs,
    remove_exclusion,
    request_run,
    run_checks,
    sync_catalogue,
    update_check,
    would_fail,
)
from tests.checks.factories import check_of, days_ago, make_account, make_user, open_names

pytestmark = pytest.mark.django_db
HERE = platform.node()


@pytest.fixture(autouse=True)
def _catalogue(db: None) -> None:
    sync_catalogue()


def running(**values: Any) -> Run:
    now = timezone.now()
    alive = {
        "host": HERE,
        "pid": os.getpid(),
        "started_at": now,
        "heartbeat_at": now,
        "phase": "3 of 5 checks",
    }
    return Run.objects.create(**{"state": "running", "trigger": "command"} | alive | values)


def gone_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_run_is_refused_with_word_of_the_first():
    live = running(trigger="schedule")
    for attempt in (lambda: run_checks(trigger="command"), lambda: request_run(trigger="person")):
        with pytest.raises(RunRefused) as refused:
            attempt()
        message = str(refused.value)
        assert "daily schedule" in message
        assert f"{live.started_at:%Y-%m-%d %H:%M:%S} UTC on {HERE}, process {os.getpid()}" in message
        assert "3 of 5 checks" in message
    assert list(Run.objects.all()) == [live]


def test_a_requested_run_is_queued_then_run_once():
    make_user(no_mfa_since=days_ago(4000))
    queued = request_run(trigger="person", slugs=["mfa-bypass", "no-mfa"], notify=False)
    assert (queued.state, queued.slugs, queued.notify) == ("queued", ["no-mfa", "mfa-bypass"], False)
    with pytest.raises(RunRefused, match="waiting for a worker"):
        run_checks(trigger="command")

    done = run_checks(trigger="person", run=queued)

    assert (done.pk, done.state, done.host, done.pid) == (queued.pk, "succeeded", HERE, os.getpid())
    assert sorted(done.results.values_list("check_ref__slug", flat=True)) == ["mfa-bypass", "no-mfa"]
    with pytest.raises(RunRefused, match="succeeded already"):
        run_checks(trigger="person", run=Run.objects.get(pk=queued.pk))


def test_a_run_of_all_checks_leaves_a_complete_record():
    make_user()
    steps: list[tuple[int, int, str]] = []
    done = run_checks(trigger="schedule", progress=lambda *step: steps.append(step))

    stored = Run.objects.get(pk=done.pk)
    assert (stored.state, stored.users, stored.phase, stored.error) == ("succeeded", 1, "", "")
    assert stored.started_at <= stored.heartbeat_at <= stored.finished_at
    assert stored.results.count() == len(CATALOGUE)
    assert not stored.results.filter(finished_at__isnull=True).exists()
    assert [step[0] for step in steps] == list(range(len(CATALOGUE) + 1))
    assert steps[-1] == (len(CATALOGUE), len(CATALOGUE), list(CATALOGUE.values())[-1].title)


def test_a_run_over_no_users_succeeds():
    assert run_checks(trigger="command").state == "succeeded"


def test_the_phase_and_the_heartbeat_move_with_the_checks():
    seen = []

    def look(run: Run, check: Check, result: Any) -> None:
        seen.append(Run.objects.get(pk=run.pk).phase)

    make_user(no_mfa_since=days_ago(4000), mfa_bypass=True)
    run_checks(trigger="command", slugs=["no-mfa", "mfa-bypass"], on_findings=look)
    assert seen == ["0 checks found nothing new", "1 of 2 checks"]


@pytest.mark.parametrize("end", [RuntimeError("out of disk"), KeyboardInterrupt()])
def test_a_run_that_cannot_go_on_is_not_left_live(monkeypatch, end):
    def stop(*arguments: Any) -> None:
        raise end

    monkeypatch.setattr("checks.engine.evaluate.evaluate", stop)
    monkeypatch.setattr("checks.engine.evaluate.errors_by_rule", lambda rules: {})
    with pytest.raises(type(end)):
        run_checks(trigger="command")
    failed = Run.objects.get()
    assert failed.state == "failed"
    assert failed.finished_at
    assert type(end).__name__ in failed.error
    monkeypatch.undo()
    assert run_checks(trigger="command").state == "succeeded"


def test_a_run_whose_process_is_gone_has_died_and_does_not_block_the_next():
    dead = running(pid=gone_pid())

    assert run_checks(trigger="command").state == "succeeded"

    dead.refresh_from_db()
    assert dead.state == "died"
    assert "is gone" in dead.error
    assert dead.finished_at


def test_a_run_whose_process_number_was_given_out_again_has_died():
    born = psutil.Process().create_time()
    earlier = timezone.now() - timedelta(seconds=timezone.now().timestamp() - born + 60)
    dead = running(started_at=earlier)
    assert reap_dead_runs() == [dead]
    assert "has its id now" in Run.objects.get().error


def test_a_living_run_is_left_alone_however_long_it_takes():
    running(heartbeat_at=timezone.now() - timedelta(days=1))
    assert reap_dead_runs() == []


def test_a_run_on_another_host_has_died_after_ten_minutes_of_silence():
    run = running(host="elsewhere", heartbeat_at=timezone.now() - timedelta(minutes=9, seconds=50))
    assert reap_dead_runs() == []

    Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=10, seconds=1))
    assert [died.pk for died in reap_dead_runs()] == [run.pk]
    assert "No heartbeat from elsewhere" in Run.objects.get().error


def test_a_queued_run_does_not_die_of_waiting():
    queued = request_run(trigger="person")
    Run.objects.filter(pk=queued.pk).update(created_at=timezone.now() - timedelta(days=1))
    assert reap_dead_runs() == []


def test_a_run_that_was_declared_dead_stops_and_keeps_nothing_of_the_check_at_hand():
    make_user(no_mfa_since=days_ago(4000), mfa_bypass=True)

    def declared_dead(run: Run, check: Check, result: Any) -> None:
        Run.objects.filter(pk=run.pk).update(state="died")

    with pytest.raises(RunLost):
        run_checks(trigger="command", slugs=["no-mfa"], on_findings=declared_dead)
    assert open_names("no-mfa") == []


def test_an_unknown_or_a_disabled_check_is_refused_by_name():
    update_check(check_of("no-mfa"), enabled=False)
    for slugs, said in ((["no-mfaa"], "Unknown check: no-mfaa"), (["no-mfa"], "Disabled: no-mfa")):
        for call in (lambda s: run_checks(trigger="command", slugs=s), preview_run):
            with pytest.raises(UnknownChecks, match=said):
                call(slugs)
    assert not Run.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_never_both_run():
    """The second one meets the first at the database, even if it looked before the first was there."""
    sync_catalogue()
    make_user(no_mfa_since=days_ago(4000))
    inner: list[Exception] = []

    def start_another(run: Run, check: Check, result: Any) -> None:
        try:
            with transaction.atomic():
                run_checks(trigger="command", slugs=["no-mfa"])
        except RunRefused as refused:
            inner.append(refused)

    outer = run_checks(trigger="command", slugs=["no-mfa"], on_findings=start_another)
    assert outer.state == "succeeded"
    assert len(inner) == 1
    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_pass_holds_no_transaction_open_and_each_check_has_one_of_its_own():
    sync_catalogue()
    make_user(no_mfa_since=days_ago(4000), mfa_bypass=True)
    depth = []
    between = []
    run_checks(
        trigger="command",
        slugs=["no-mfa", "mfa-bypass"],
        on_findings=lambda *_: depth.append(connection.in_atomic_block),
        progress=lambda *_: between.append(connection.in_atomic_block),
    )
    assert depth == [True, True]
    assert between == [False, False, False]


def test_the_catalogue_is_synchronised_once():
    before = list(Check.objects.values_list("slug", flat=True))
    Check.objects.filter(slug="no-mfa").update(severity="low")
    sync_catalogue()
    assert set(before) == set(CATALOGUE)
    assert check_of("no-mfa").severity == "low"


def test_a_check_that_left_the_catalogue_is_kept_and_not_run():
    Check.objects.create(slug="retired", severity="low")
    sync_catalogue()
    run = run_checks(trigger="command")
    assert (run.state, run.results.count()) == ("succeeded", len(CATALOGUE))
    assert Check.objects.filter(slug="retired").exists()


def test_only_what_differs_from_the_defaults_is_kept():
    check = check_of("inactive-account-probing")
    assert update_check(check, settings={"idle_days": "45", "attempts": 2}) is True
    assert check.settings == {"idle_days": 45}
    assert effective_settings(check) == {"idle_days": 45, "attempts": 2}

    assert update_check(check, settings={"attempts": 5}) is True
    assert check_of(check.slug).settings == {"idle_days": 45, "attempts": 5}

    assert update_check(check, settings={"idle_days": 30}) is True
    assert check.settings == {"attempts": 5}
    assert update_check(check, settings={"attempts": 5}, enabled=True) is False


def test_tags_and_domains_are_put_in_order():
    check = check_of("no-mfa")
    update_check(check, tags=[" tier-1", "PCI", "pci", "Ärzte"], ignored_domains=["@B.example", "a.example"])
    assert check.tags == ["PCI", "tier-1", "Ärzte"]
    assert check.ignored_domains == ["a.example", "b.example"]
    assert update_check(check, tags=["tier-1", "PCI", "Ärzte"]) is False


@pytest.mark.parametrize(
    ("values", "key", "said"),
    [
        ({"settings": {"grace_days": 3651}}, "settings.grace_days", "3650"),
        ({"settings": {"grace_days": -1}}, "settings.grace_days", "0"),
        ({"settings": {"grace_days": "soon"}}, "settings.grace_days", "whole number"),
        ({"settings": {"grace_days": True}}, "settings.grace_days", "not accepted"),
        ({"settings": {"days": 3}}, "settings.days", "It has: grace_days"),
        ({"severity": "urgent"}, "severity", "critical, high, medium or low"),
        ({"enabled": "yes"}, "enabled", "true or false"),
        ({"tags": "pci"}, "tags", "list"),
        ({"tags": [""]}, "tags", "1 to 64"),
        ({"tags": ["x" * 65]}, "tags", "1 to 64"),
        ({"tags": ["a,b"]}, "tags", "commas"),
        ({"tags": ["a\nb"]}, "tags", "control"),
        ({"tags": [str(number) for number in range(51)]}, "tags", "at most 50"),
        ({"ignored_domains": ["not a domain"]}, "ignored_domains", "example.com"),
        ({"included_domains": ["ann@example.com"]}, "included_domains", "example.com"),
        ({"ignored_logins": ["a\x00"]}, "ignored_logins", "control"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_nothing_is_saved(values, key, said):
    check = check_of("no-mfa")
    with pytest.raises(ValidationError) as refused:
        update_check(check, **{"tags": ["kept-out"], **values})
    assert said in " ".join(refused.value.message_dict[key])
    assert check_of("no-mfa").tags == []


def test_an_exclusion_needs_a_reason_and_a_future_end():
    check, user = check_of("no-mfa"), make_user()
    for values, key in (
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "leave", "until": timezone.now()}, "until"),
        ({"reason": "leave", "until": days_ago(0).replace(tzinfo=None)}, "until"),
    ):
        with pytest.raises(ValidationError) as refused:
            exclude_user(check, user, **values)
        assert list(refused.value.message_dict) == [key]
    assert not Exclusion.objects.exists()


def test_a_second_exclusion_replaces_the_first_and_can_be_removed():
    check, user = check_of("no-mfa"), make_user(no_mfa_since=days_ago(4000))
    exclude_user(check, user, reason="travel", until=timezone.now() + timedelta(days=3))
    exclusion = exclude_user(check, user, reason=" accepted ")
    assert (Exclusion.objects.count(), exclusion.reason, exclusion.until) == (1, "accepted", None)

    run_checks(trigger="command", slugs=["no-mfa"])
    assert open_names("no-mfa") == []
    remove_exclusion(exclusion)
    run_checks(trigger="command", slugs=["no-mfa"])
    assert open_names("no-mfa") == ["ann@example.com"]


def test_a_preview_of_settings_counts_who_would_fail_and_saves_nothing():
    check = check_of("no-mfa")
    now = timezone.now()
    for name, days in (("ann@one.test", 10), ("bob@one.test", 20), ("cyd@two.test", 30)):
        make_account(make_user(name, no_mfa_since=now - timedelta(days=days)))

    def failing(grace_days: int, **scope: Any) -> int:
        whole = {"ignored_domains": [], "included_domains": [], "ignored_logins": []}
        return would_fail(check, settings={"grace_days": grace_days}, **whole | scope)

    assert [failing(days) for days in (5, 15, 25, 35)] == [3, 2, 1, 0]
    assert failing(5, ignored_domains=["one.test"]) == 1
    assert failing(5, included_domains=["one.test"]) == 2
    assert failing(5, ignored_logins=["ANN@one.test"]) == 2
    with pytest.raises(ValidationError):
        failing(-1)
    assert check_of("no-mfa").settings == {}


# --- Log lines --------------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """The fields of each line with this text, in order."""
    return [vars(record) for record in caplog.records if record.getMessage() == message]


def test_a_run_logs_its_start_each_check_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "checks")
    okta = make_user("ann@example.com", has_mfa=False, no_mfa_since=days_ago(400))
    unsure = make_user("bob@example.com", has_mfa=False, no_mfa_since=days_ago(400))
    run_checks(trigger="command", slugs=["no-mfa"])
    for user, facts in ((okta, {"has_mfa": True}), (unsure, {"mfa_unknown_since": days_ago(400)})):
        type(user).objects.filter(pk=user.pk).update(no_mfa_since=None, **facts)
    run_checks(trigger="command", slugs=["no-mfa"])
    type(unsure).objects.filter(pk=unsure.pk).update(no_mfa_since=days_ago(400))
    run_checks(trigger="command", slugs=["no-mfa"])

    names = ("check", "failing", "opened", "resolved", "suspended", "reopened", "stale")
    assert [tuple(line[name] for name in names) for line in logged(caplog, "Check evaluated")] == [
        ("no-mfa", 2, 2, 0, 0, 0, 0),
        ("no-mfa", 0, 0, 2, 1, 0, 0),
        ("no-mfa", 1, 0, 0, 0, 1, 0),
    ]
    started, ended = logged(caplog, "Run started"), logged(caplog, "Run finished")
    assert [(line["trigger"], line["checks"]) for line in started] == [("command", ["no-mfa"])] * 3
    assert [(line["state"], line["users"], line["failed_checks"]) for line in ended] == [
        ("succeeded", 2, 0)
    ] * 3


def test_a_refused_and_a_dead_run_are_logged_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    live = running()
    with pytest.raises(RunRefused):
        request_run(trigger="person")
    (refused,) = logged(caplog, "Run refused: another is live")
    assert (refused["live_run"], refused["state"], refused["levelname"]) == (live.pk, "running", "WARNING")

    Run.objects.filter(pk=live.pk).update(pid=gone_pid())
    reap_dead_runs()
    (died,) = logged(caplog, "Run died")
    assert died["run_id"] == live.pk
    assert "is gone" in died["reason"]


def test_every_line_of_a_run_carries_its_id() -> None:
    seen: list[Any] = []
    make_user("ann@example.com", has_mfa=False, no_mfa_since=days_ago(400))
    run = run_checks(
        trigger="command",
        slugs=["no-mfa"],
        on_findings=lambda *_: seen.append(structlog.contextvars.get_contextvars().get("run_id")),
    )
    assert seen == [run.pk]
    assert "run_id" not in structlog.contextvars.get_contextvars()


def test_every_error_of_the_app_has_one_base() -> None:
    """The base is what a caller of ``checks.services`` catches."""
    modules = [
        name for _, name, _ in pkgutil.walk_packages(checks.__path__, "checks.") if "migrations" not in name
    ]
    raised = {
        value
        for name in modules
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__.startswith("checks.")
    }
    assert len(raised) >= 6
    assert [error for error in raised if not issubclass(error, ChecksError)] == []
