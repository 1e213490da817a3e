"""The report of a period: what opened, what ended, how long a cure takes, and the same by topic and framework."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from checks.engine import group_results
from checks.models import CheckResult, Finding, Run, User
from checks.services import CATALOGUE, run_checks, store_group_results
from cii_project.reporting.report import Period, percentile
from cii_project.reporting.tasks import send_due_report
from notifications import installation
from notifications.models import Configuration
from notifications.services import run_and_notify, update_configuration
from notifications.tasks import count_groups
from tests import translations
from tests.console.checks_world import HTMX, beside, check_of, client_of, fail, failing_run, said, text

UTC_ZONE = ZoneInfo("UTC")
TODAY = date(2026, 3, 31)


# --- The period ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({}, date(2026, 3, 2), TODAY),
        ({"days": "7"}, date(2026, 3, 25), TODAY),
        ({"days": "365"}, date(2025, 4, 1), TODAY),
        ({"from": "2026-01-01", "to": "2026-01-31"}, date(2026, 1, 1), date(2026, 1, 31)),
        ({"from": "2026-03-31", "to": "2026-03-31"}, TODAY, TODAY),
    ],
)
def test_a_period_has_its_first_and_last_day(query: dict[str, str], first: date, last: date) -> None:
    period = Period.read(query, TODAY, UTC_ZONE)
    assert (period.first, period.last, period.problem) == (first, last, "")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"days": "8"}, "not known"),
        ({"days": "x"}, "not known"),
        ({"from": "2026-01-01"}, "Choose both days"),
        ({"from": "2026-01-01", "to": "soon"}, "Choose both days"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "must end after it starts"),
        ({"from": "2026-01-01", "to": "2026-04-01"}, "today at the latest"),
        ({"from": "0001-01-01", "to": "2026-01-01"}, "must end after it starts"),
    ],
)
def test_a_period_that_makes_no_sense_is_the_usual_one_and_says_so(query: dict[str, str], says: str) -> None:
    period = Period.read(query, TODAY, UTC_ZONE)
    assert (period.first, period.last) == (date(2026, 3, 2), TODAY)
    assert says in period.problem


def test_a_period_covers_its_days_in_the_zone_of_the_installation() -> None:
    period = Period.read({"from": "2026-03-29", "to": "2026-03-29"}, TODAY, ZoneInfo("Europe/Berlin"))
    assert period.start.astimezone(UTC) == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert period.end.astimezone(UTC) == datetime(2026, 3, 29, 22, tzinfo=UTC)  # the clocks go forward


# --- Time to cure ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("groups", "share", "days"),
    [
        ([], 0.5, None),
        ([(3, 1)], 0.9, 3),
        ([(1, 1), (9, 1)], 0.5, 1),
        ([(9, 4), (1, 6)], 0.5, 1),
        ([(9, 6), (1, 4)], 0.5, 9),
        ([(5, 1), (1, 9)], 0.9, 1),
        ([(5, 2), (1, 8)], 0.9, 5),
    ],
)
def test_a_percentile_is_a_time_that_so_many_findings_do_not_exceed(
    groups: list[tuple[int, int]], share: float, days: int | None
) -> None:
    assert percentile([(timedelta(days=day), number) for day, number in groups], share) == days


@contextmanager
def freeze(moment: datetime) -> Iterator[None]:
    """The clock of the settings of the installation stands at ``moment``."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(installation.timezone, "now", lambda: moment)
        yield


# --- The page --------------------------------------------------------------------------------------------
def found(query: str = "", role: str = "Viewer") -> Any:
    answer = client_of(role).get(f"/report/{query}")
    assert answer.status_code == 200
    return answer.context


def dated(run: Run, days_ago: int) -> None:
    """Move a run and what it found into the past."""
    then = timezone.now() - timedelta(days=days_ago)
    Run.objects.filter(pk=run.pk).update(created_at=then, started_at=then)
    run.results.update(finished_at=then)
    Finding.objects.filter(opened_run=run).update(opened_at=then)
    Finding.objects.filter(resolved_run=run).update(resolved_at=then)


@pytest.fixture
def month(db: None) -> None:
    """40 days ago ann and bo failed no-mfa; 10 days ago ann was cured and cid failed."""
    dated(failing_run("ann@example.com", "bo@example.com"), 40)
    User.objects.filter(name="ann@example.com").update(no_mfa_since=None, has_mfa=True)
    fail("cid@example.com")
    dated(run_checks(trigger=Run.Trigger.COMMAND, slugs=("no-mfa",)), 10)


def test_what_opened_and_ended_in_the_period_and_what_is_open_at_both_ends(month: None) -> None:
    context = found()
    total = context["total"]
    assert (total.before, total.opened, total.ended, total.after) == (2, 1, 1, 2)
    assert context["cured"] == 1
    assert context["median"] == context["slowest"] == pytest.approx(30, abs=0.01)
    assert context["score_before"] == 0  # both of two failed
    assert context["score_after"] == 33  # one of three passes
    (critical,) = [line for line in context["severities"] if line.after]
    assert (critical.title, critical.after) == (check_of().severity, 2)
    assert [line.title for line in context["topics"] if line.after] == sorted(CATALOGUE["no-mfa"].topics)


def test_a_period_before_the_first_run_says_that_there_was_none(month: None) -> None:
    context = found("?days=90")
    assert (context["total"].before, context["score_before"]) == (None, None)
    assert (context["total"].opened, context["total"].after) == (3, 2)
    page = text(client_of("Operator").get("/report/?days=90"))
    assert "No run before the period" in page


def test_each_control_of_a_framework_has_the_findings_of_its_checks(month: None) -> None:
    frameworks = dict(found()["frameworks"])
    for name in CATALOGUE["no-mfa"].frameworks:
        framework, _, control = name.partition(":")
        (line,) = [line for line in frameworks[framework] if line.title == control]
        assert line.after == 2
        assert (CATALOGUE["no-mfa"].title, "/checks/no-mfa/") in [(one.title, one.url) for one in line.checks]
    for controls in frameworks.values():
        assert len({line.title for line in controls}) == len(controls)


def test_a_framework_has_a_view_with_its_controls_and_their_checks(month: None) -> None:
    framework = CATALOGUE["no-mfa"].frameworks[0].partition(":")[0]
    page = text(client_of("Viewer").get("/report/", {"framework": framework}))
    assert re.search(rf'aria-current="page">{re.escape(framework)}</a>', page)
    assert "No MFA Configured" in page
    assert "By topic" not in page
    assert "Unknown framework “PCI”" in text(client_of("Operator").get("/report/?framework=PCI"))


def test_users_are_counted_as_users_by_department_and_source(month: None) -> None:
    User.objects.filter(name__in=["bo@example.com", "ann@example.com"]).update(department="Law")
    Finding.objects.create(
        check_ref=check_of("mfa-bypass"),
        user=User.objects.get(name="bo@example.com"),
        opened_at=timezone.now(),
        opened_run=Run.objects.first(),
    )
    store_group_results(Run.objects.latest("created_at"))
    found_lines = found()["departments"]
    figures = {line.title: (line.failing_users, line.users, line.findings) for line in found_lines}
    assert figures == {"Law": (1, 2, 2), "No department": (1, 1, 1)}
    (okta,) = found("", "Operator")["sources"]
    assert (okta.title, okta.failing_users, okta.users, okta.findings) == ("Okta", 2, 3, 3)
    assert okta.failing_before is None


def test_groups_beyond_the_largest_are_one_row(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_results, "MOST_GROUPS", 1)
    check_of()
    for number in range(3):
        fail(f"u{number}@example.com", department=f"D{number}")
    run = run_checks(trigger=Run.Trigger.COMMAND, slugs=("no-mfa",))
    rest = [one for one in store_group_results(run) if one.is_rest]
    assert [(one.dimension, one.users, one.failing_users) for one in rest] == [("department", 2, 2)]


def test_a_run_with_its_messages_keeps_its_groups_and_a_report_of_before_compares_with_them(db: None) -> None:
    check_of()
    fail("ann@example.com", department="Law")
    first = run_and_notify(trigger=Run.Trigger.COMMAND, slugs=("no-mfa",))
    count_groups(str(first.pk))
    dated(first, 40)
    fail("bo@example.com", department="Law")
    count_groups(str(run_and_notify(trigger=Run.Trigger.COMMAND, slugs=("no-mfa",)).pk))
    (law,) = found()["departments"]
    assert (law.failing_before, law.failing_users, law.percent) == (1, 2, 100)


def test_the_coverage_counts_users_that_the_checks_could_not_evaluate(month: None) -> None:
    result = CheckResult.objects.order_by("-id")[0]
    CheckResult.objects.filter(pk=result.pk).update(evaluated=10, unknown=2, stale=1)
    total = found()["total"]
    assert (total.evaluated, total.unknown, total.coverage) == (10, 3, 70)


def test_the_csv_has_every_table_and_is_recorded(month: None) -> None:
    store_group_results(Run.objects.latest("created_at"))
    answer: Any = client_of("Viewer").get("/report/report.csv?days=30")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert {row["name"] for row in rows if row["part"] == "check"} == set(CATALOGUE)
    (row,) = [row for row in rows if row["name"] == "no-mfa"]
    figures = ("open_before", "opened", "no_longer_failing", "open_after", "could_not_evaluate")
    assert [row[name] for name in figures] == ["2", "1", "1", "2", "0"]
    assert {"total", "users", "severity", "topic", "department", "source"} < {row["part"] for row in rows}
    (users,) = [row for row in rows if row["part"] == "users"]
    assert (users["failing_users_before"], users["failing_users"], users["users"]) == ("2", "2", "3")
    assert any(line.startswith("Exported the report from ") for line in said())


# --- By e-mail -------------------------------------------------------------------------------------------
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday


def mailed_to(**values: object) -> None:
    with freeze(NOON - timedelta(days=1)):
        update_configuration(
            {"report_every": "weekly", "report_recipients": "ann@example.com, bo@example.com", **values}
        )


def test_the_report_comes_once_a_week_to_each_recipient_alone(month: None, mailoutbox: list[Any]) -> None:
    mailed_to(base_url="https://checks.example.com", tenant_name="Acme")
    assert send_due_report(NOON - timedelta(hours=7)) == "not due"
    assert send_due_report(NOON) == "2 mails"
    assert send_due_report(NOON + timedelta(hours=1)) == "not due"
    assert [mail.to for mail in mailoutbox] == [["ann@example.com"], ["bo@example.com"]]
    mail = mailoutbox[0]
    assert mail.subject == "Identity checks: 23 Feb \u2013 1 Mar 2026"
    link = "https://checks.example.com/report/?from=2026-02-23&to=2026-03-01"
    assert f"Open the report: {link}" in mail.body
    assert "Posture score: " in mail.body
    html = mail.alternatives[0].content
    assert f'<a href="{link.replace("&", "&amp;")}"' in html
    assert "named you as a recipient of the report" in html
    assert send_due_report(NOON + timedelta(days=7)) == "2 mails"


def test_a_mailbox_that_is_named_twice_gets_the_report_once(month: None, mailoutbox: list[Any]) -> None:
    mailed_to(report_recipients="ann@example.com, ann@EXAMPLE.com\nann@example.com, Ann@example.com")
    assert send_due_report(NOON) == "2 mails"
    assert [mail.to for mail in mailoutbox] == [["ann@example.com"], ["Ann@example.com"]]


def test_the_name_of_a_department_is_text_in_the_mail(month: None, mailoutbox: list[Any]) -> None:
    name = "[Law](https://evil.example) **& <b>Order</b>**"
    User.objects.update(department=name)
    run = Run.objects.latest("created_at")
    Run.objects.filter(pk=run.pk).update(created_at=NOON - timedelta(days=3))
    store_group_results(run)
    mailed_to(report_recipients="ann@example.com")
    assert send_due_report(NOON) == "1 mails"
    html = mailoutbox[0].alternatives[0].content
    assert f"{name}: " in mailoutbox[0].body
    assert "evil.example" in html
    assert 'href="https://evil.example' not in html
    assert "<b>" not in html


def test_the_report_is_in_the_language_of_the_installation(month: None, mailoutbox: list[Any]) -> None:
    # A department that is called like a word of the product keeps its name.
    for name, department in (("bo@example.com", "No department"), ("cid@example.com", "")):
        User.objects.filter(name=name).update(department=department)
    run = Run.objects.latest("created_at")
    then = NOON - timedelta(days=3)
    Run.objects.filter(pk=run.pk).update(created_at=then)
    run.results.update(finished_at=then)
    store_group_results(run)
    mailed_to(
        base_url="https://checks.example.com",
        language="de",
        tenant_name="Acme",
        report_recipients="ann@example.com",
    )
    assert send_due_report(NOON) == "1 mails"
    (mail,) = mailoutbox
    assert mail.subject == "Identitätsprüfungen: 23. Feb. \u2013 1. März 2026"
    for line in (
        "7 Tage (UTC)",
        "- Sicherheitsnote: 33 von 100",
        "- Betroffene Benutzer: 2 von 3",
        "- Offene Befunde: 2",
        "- Neu: 1; nicht mehr betroffen: 1, davon 1 behoben",
        "- Kein zweiter Faktor (kritisch): 2",
        "- No department: 1 von 1",
        "- Keine Abteilung: 1 von 2",
        "Bericht öffnen: https://checks.example.com/report/?from=2026-02-23&to=2026-03-01",
    ):
        assert f"{line}\n" in mail.body
    assert "Sie erhalten diese E-Mail" in mail.body
    html = mail.alternatives[0].content
    assert '<html lang="de">' in html
    assert "Betroffene Benutzer: <strong>2</strong> von 3" in html
    assert ">Bericht öffnen</a>" in html
    catalogue = translations.read("de", translations.ROOT / "integrations" / "locale" / "de.po")
    english = [text for place, text in translations.texts() if place.startswith("cii_project/")]
    assert english
    known = {text for text in english if isinstance(text, str) and "{" not in text} - {"No department"}
    assert [text for text in known if text in mail.body or text in html] == []
    assert all(catalogue.get(text).string for text in known)


def test_the_monthly_report_is_about_the_month_before(month: None, mailoutbox: list[Any]) -> None:
    mailed_to(report_every="monthly", report_recipients="ann@example.com")
    assert send_due_report(NOON) == "not due"
    assert send_due_report(datetime(2026, 4, 1, 12, tzinfo=UTC)) == "1 mails"
    assert mailoutbox[0].subject == "Identity checks: 1\u201331 Mar 2026"


def test_a_report_that_no_server_takes_is_tried_again_an_hour_later(
    month: None, mailoutbox: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mailed_to()
    with monkeypatch.context() as broken:
        broken.setattr(EmailMultiAlternatives, "send", lambda self: 1 / 0)
        assert send_due_report(NOON) == "0 mails"
    assert send_due_report(NOON + timedelta(hours=1)) == "2 mails"


def test_without_recipients_no_report_is_sent(db: None) -> None:
    Configuration.load()
    assert send_due_report(NOON) == "no report is set up"


def test_an_engineer_names_who_gets_the_report(db: None) -> None:
    client = client_of("Engineer")
    assert "E-mail…" in text(client.get("/report/"))
    wrong = client.post("/report/mail", {"report_every": "weekly", "report_recipients": "ann"}, headers=HTMX)
    assert "“ann” is no e-mail address." in beside(text(wrong), "report_recipients")
    empty = client.post("/report/mail", {"report_every": "weekly", "report_recipients": ""}, headers=HTMX)
    assert "Write at least one address" in beside(text(empty), "report_recipients")
    given = {"report_every": "monthly", "report_recipients": "ann@example.com\nbo@example.com"}
    assert client.post("/report/mail", given, headers=HTMX)["HX-Refresh"] == "true"
    stored = Configuration.load()
    assert stored.report_every == "monthly"
    assert "E-mail: on…" in text(client.get("/report/"))
    assert client_of("Operator").get("/report/mail").status_code == 403


def test_an_installation_without_a_run_says_what_will_be_here(db: None) -> None:
    check_of()
    assert "After the first run" in text(client_of("Viewer").get("/report/"))


def test_a_period_that_is_not_known_says_so_on_the_page(month: None) -> None:
    assert "This period is not known" in text(client_of("Viewer").get("/report/?days=8"))
