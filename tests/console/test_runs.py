"""Runs: the list, a run's page, Run checks now with its progress."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from checks.catalogue import CATALOGUE
from checks.models import Check, CheckResult, Finding, Run
from checks.services import RunRefused, cancel_run, request_run, run_checks, update_check
from notifications import tasks
from notifications.delivery import task_requests
from notifications.models import Delivery
from notifications.services import run_and_notify, subscribe
from tests.console.checks_world import (
    HTMX,
    check_of,
    client_of,
    fail,
    failing_run,
    queries,
    said,
    text,
    webhook,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def queued_tasks(monkeypatch) -> list[tuple[str, ...]]:
    """What was asked of the queue."""
    rung: list[tuple[str, ...]] = []
    monkeypatch.setattr(task_requests, "async_task", lambda task, *args: rung.append((task, *args)))
    return rung


def test_the_dialog_says_what_will_be_sent_where():
    subscribe(check_of(), webhook("soar"))
    subscribe(check_of("mfa-bypass"), webhook("siem"), audience="manager")
    update_check(check_of("password-age"), enabled=False)
    dialog = text(client_of("Operator").get("/runs/now", headers=HTMX))
    lines = re.findall(r"<li>(.*?)</li>", dialog, re.S)
    assert len(lines) == 29
    assert "No MFA Configured" in lines[0]
    assert "soar" in lines[0]
    assert "siem" in lines[1]
    assert "manager" in lines[1]
    assert all("no target: nothing is sent" in line for line in lines[2:])
    assert "Old Password<" not in dialog


def test_a_paused_target_is_marked_in_the_dialog():
    target = webhook("soar")
    subscribe(check_of(), target)
    type(target).objects.update(state="paused")
    assert "(paused)" in text(client_of("Operator").get("/runs/now", headers=HTMX))


def test_the_dialog_asks_for_the_numbers_of_its_checks():
    check_of()
    client = client_of("Operator")
    dialog = text(client.get("/runs/now", {"slug": ["no-mfa", "mfa-bypass"]}, headers=HTMX))
    asked = re.search(r'hx-get="(/runs/now/estimate[^"]*)"', dialog)
    assert asked
    assert asked[1].count("slug=") == 2
    assert client.get(asked[1].replace("&amp;", "&"), headers=HTMX).status_code == 200


def test_the_numbers_say_how_many_would_be_notified_where():
    check_of()
    for number in range(3):
        fail(f"user{number}@example.com")
    client, address = client_of("Operator"), "/runs/now/estimate?slug=no-mfa"
    assert "No target is enabled on these checks" in text(client.get(address, headers=HTMX))
    paused = webhook("soar")
    subscribe(check_of(), paused)
    type(paused).objects.update(state="paused")
    part = " ".join(text(client.get(address, headers=HTMX)).split())
    assert "About 3 users would newly fail." in part
    assert "About 3 new → <strong>soar</strong>" in part
    assert "paused" in part
    run_and_notify(trigger="person", slugs=["no-mfa"], notify=False)
    assert "Nobody would newly fail" in text(client.get(address, headers=HTMX))


def test_the_numbers_of_a_check_that_was_disabled_meanwhile_say_so():
    update_check(check_of(), enabled=False)
    page = text(client_of("Operator").get("/runs/now/estimate?slug=no-mfa", headers=HTMX))
    assert "Disabled: no-mfa." in page


def test_evaluate_only_records_the_findings_and_sends_nothing(queued_tasks):
    fail("kim@example.com")
    subscribe(check_of(), webhook("soar"))
    client_of("Operator").post("/runs/now", {"slug": "no-mfa"}, headers=HTMX)
    run = Run.objects.get()
    assert not run.notify
    assert tasks.run_requested(str(run.id)) == "succeeded"
    assert Finding.objects.count() == 1
    assert not Delivery.objects.exists()
    assert said() == ["Run checks now: 1 checks, without messages"]


def test_a_waiting_run_is_cancelled_and_its_task_finds_nothing_to_do(queued_tasks):
    check_of()
    run = request_run(trigger="person")
    client = client_of("Operator")
    progress = text(client.get(f"/runs/{run.id}/progress", headers=HTMX))
    assert f'hx-post="/runs/{run.id}/cancel"' in progress
    assert "Cancel the run" not in text(client_of("Viewer").get(f"/runs/{run.id}/progress", headers=HTMX))
    assert client.post(f"/runs/{run.id}/cancel", headers=HTMX)["HX-Redirect"] == "/runs/"
    assert not Run.objects.exists()
    assert said() == ["Cancelled the run before it started"]
    assert "The run was cancelled" in text(client.get(f"/runs/{run.id}/progress", headers=HTMX))
    assert tasks.run_requested(str(run.id)) == "nothing to do"
    request_run(trigger="person")  # the way is free


def test_a_run_that_has_started_is_not_cancelled():
    check_of()
    run = request_run(trigger="person")
    Run.objects.update(state="running", started_at=timezone.now())
    client = client_of("Operator")
    assert "Cancel the run" not in text(client.get(f"/runs/{run.id}/progress", headers=HTMX))
    assert client.post(f"/runs/{run.id}/cancel", headers=HTMX)["HX-Redirect"] == f"/runs/{run.id}/"
    assert Run.objects.get().state == "running"


def test_a_worker_that_takes_a_run_while_it_is_cancelled_refuses_it():
    check_of()
    run = request_run(trigger="person")
    cancel_run(Run.objects.get())
    with pytest.raises(RunRefused, match="was cancelled before it started"):
        run_checks(trigger="person", run=run)


def test_pressing_run_queues_one_run_and_shows_its_progress(queued_tasks, django_capture_on_commit_callbacks):
    check_of()
    client = client_of("Operator")
    with django_capture_on_commit_callbacks(execute=True):
        answer = text(client.post("/runs/now", {"notify": "on"}, headers=HTMX))
    run = Run.objects.get()
    assert (run.state, run.trigger, run.notify, run.slugs) == ("queued", "person", True, [])
    assert run.requested_by.username == "operator"
    assert queued_tasks == [("notifications.tasks.run_requested", str(run.id))]
    assert f'hx-get="/runs/{run.id}/progress"' in answer
    assert f"0 of {len(CATALOGUE)} checks" in answer
    assert said() == ["Run checks now: all enabled checks, with messages"]
    for page in ("/checks/", "/runs/"):  # a member who comes back finds it
        assert f"/runs/{run.id}/progress?compact=1" in text(client.get(page))


@pytest.mark.django_db(transaction=True)
def test_the_run_ends_in_a_summary_with_links(queued_tasks):
    fail("kim@example.com")
    subscribe(check_of(), webhook("soar"))
    client = client_of("Operator")
    client.post("/runs/now", {"notify": "on", "slug": ["no-mfa", "mfa-bypass"]}, headers=HTMX)
    run = Run.objects.get()
    assert tasks.run_requested(str(run.id)) == "succeeded"
    answer = client.get(f"/runs/{run.id}/progress", headers=HTMX)
    page = text(answer)
    assert answer["HX-Trigger"] == "run-finished"
    assert "hx-trigger" not in page  # it stops asking
    assert "Run finished" in page
    assert "1 newly failing" in page
    assert f'href="/deliveries/?run={run.id}"' in page
    assert f'href="/runs/{run.id}/"' in page


def test_progress_shows_each_check_as_it_is_evaluated():
    run = request_run(trigger="person", slugs=["no-mfa", "mfa-bypass"]) if check_of() else None
    client = client_of("Viewer")
    CheckResult.objects.create(run=run, check_ref=check_of(), severity="critical", failing=7, new=2)
    answer = client.get(f"/runs/{run.id}/progress", headers=HTMX)
    page = text(answer)
    assert "1 of 2 checks" in page
    assert "7 failing" in page
    assert "+2" in page
    assert 'aria-valuenow="1"' in page
    assert "HX-Trigger" not in answer
    assert "No worker" not in page
    Run.objects.update(created_at=timezone.now() - timedelta(seconds=30))
    assert "No worker has taken this run yet" in text(client.get(f"/runs/{run.id}/progress", headers=HTMX))


def test_a_run_that_is_already_going_is_shown_instead_of_a_second_one(queued_tasks):
    check_of()
    run = request_run(trigger="schedule")
    client = client_of("Operator")
    for answer in (client.get("/runs/now", headers=HTMX), client.post("/runs/now", {}, headers=HTMX)):
        assert 'role="alert"' in text(answer)
        assert f"/runs/{run.id}/progress" in text(answer)
    assert Run.objects.count() == 1


def test_a_check_that_was_disabled_meanwhile_is_an_error_in_words(queued_tasks):
    update_check(check_of(), enabled=False)
    answer = client_of("Operator").post("/runs/now", {"slug": "no-mfa"}, headers=HTMX)
    assert answer.status_code == 200
    assert "no-mfa" in text(answer)
    assert not Run.objects.exists()


def test_without_an_enabled_check_there_is_nothing_to_run():
    check_of()
    Check.objects.update(enabled=False)
    assert "No check is enabled" in text(client_of("Operator").get("/runs/now", headers=HTMX))


def test_a_viewer_starts_no_run_and_follows_one():
    check_of()
    client = client_of("Viewer")
    assert client.get("/runs/now", headers=HTMX).status_code == 403
    assert client.post("/runs/now", {}, headers=HTMX).status_code == 403
    assert "/runs/now" not in text(client.get("/runs/"))
    assert not Run.objects.exists()
    run = request_run(trigger="schedule")
    assert client.get(f"/runs/{run.id}/progress", headers=HTMX).status_code == 200


def test_the_list_shows_what_each_run_found():
    failing_run("kim@example.com")
    page = text(client_of("Viewer").get("/runs/"))
    for part in ("Succeeded", "Command line", 'data-label="New" class="c-num"><span class="c-name">1</span>'):
        assert part in page
    assert "No run matches" in text(client_of("Operator").get("/runs/?state=died"))


def test_an_empty_installation_says_when_runs_come():
    assert "No run yet" in text(client_of("Viewer").get("/runs/"))


def test_the_list_pages_by_key():
    now = timezone.now()
    Run.objects.bulk_create(Run(state="succeeded", trigger="schedule") for _ in range(65))
    for age, run in enumerate(Run.objects.all()):
        Run.objects.filter(id=run.id).update(created_at=now - timedelta(hours=age // 2))  # some are equal
    client, url, seen = client_of("Viewer"), "/runs/", []
    while url:
        page = text(client.get(url))
        seen += re.findall(r'<a class="c-name" href="/runs/([^/]+)/"', page)
        following = re.search(r'href="(\?[^"]+)" rel="next"', page)
        url = "/runs/" + following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == 65 == len(set(seen))


@pytest.mark.django_db(transaction=True)
def test_a_runs_page_shows_each_check_and_what_it_sent(queued_tasks):
    fail("kim@example.com")
    subscribe(check_of(), webhook("soar"))
    run = run_and_notify(trigger="command", slugs=("no-mfa", "mfa-bypass"))
    Delivery.objects.update(state="dead")
    CheckResult.objects.filter(check_ref__slug="mfa-bypass").update(error="no such column <x>")
    page = text(client_of("Viewer").get(f"/runs/{run.id}/"))
    for part in ("No MFA Configured", "1 delivery", "1 dead", "Could not run", "no such column &lt;x&gt;"):
        assert part in page


@pytest.mark.parametrize(("state", "words"), [("died", "nothing was sent twice"), ("failed", "disk full")])
def test_a_run_that_did_not_end_well_says_so(state, words):
    run = failing_run("kim@example.com")
    Run.objects.update(state=state, error="disk full")
    assert words in text(client_of("Viewer").get(f"/runs/{run.id}/"))


def test_a_run_that_does_not_exist_is_not_found():
    client = client_of("Viewer")
    for url in (f"/runs/{uuid4()}/", f"/runs/{uuid4()}/progress", "/runs/nonsense/"):
        assert client.get(url).status_code == 404


def test_the_pages_take_few_queries():
    run = failing_run("kim@example.com")
    client = client_of("Operator")
    few = queries(client, "/runs/")
    for _ in range(3):
        run = failing_run()
    assert queries(client, "/runs/") <= few <= 12
    assert queries(client, f"/runs/{run.id}/") <= 12
