"""The checks page: who sees what, what is listed, one switch, several at once."""

import re

import pytest
from django.test import Client

from checks.catalogue import CATALOGUE
from checks.models import Check, CheckResult, Run
from checks.services import run_checks, update_check
from cii_project.audit.models import AuditEntry
from cii_project.console.checks.overview_charts import Sparkline
from integrations.services import save_integration
from notifications.services import subscribe
from tests.checks.imports import load
from tests.console.checks_world import HTMX, check_of, client_of, failing_run, queries, said, text, webhook

pytestmark = pytest.mark.django_db
URL = "/checks/"


def shown(client: Client, query: str = "") -> list[str]:
    """The slugs of the rows, in their order."""
    return re.findall(r'name="slug" value="([^"]+)"', text(client.get(f"{URL}?{query}")))


def test_nobody_sees_the_checks_without_a_role_or_a_sign_in():
    assert client_of("").get(URL).status_code == 403
    answer = Client().get(URL)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


def test_a_viewer_reads_the_table_and_is_offered_no_button():
    check_of()
    page = text(client_of("Viewer").get(URL))
    assert "No MFA Configured" in page
    for button in ("Run checks now", 'role="switch"', 'name="slug"', 'id="bulk"'):
        assert button not in page


@pytest.mark.parametrize("url", ["/checks/no-mfa/enabled", "/checks/bulk"])
def test_a_viewer_changes_nothing(url):
    check_of()
    data = {"action": "disable", "slug": ["no-mfa"]}
    assert client_of("Viewer").post(url, data, headers=HTMX).status_code == 403
    assert Check.objects.get(slug="no-mfa").enabled


def test_a_row_shows_what_the_last_run_found_and_who_is_notified():
    failing_run("kim@example.com", "lee@example.com")
    subscribe(check_of(), webhook("soar"))
    page = text(client_of("Engineer").get(f"{URL}?search=no-mfa&severity=critical"))
    assert 'aria-label="2 failing No MFA Configured"' in page
    assert "+2</a>" in page
    assert "soar" in page
    assert "Failing over 30 days" not in page  # a run of one check alone is no day of the sparkline


def test_a_row_says_how_many_users_could_not_be_evaluated_and_why():
    check_of()
    load([{"login": "ann", "status": "active"}, {"login": "bob", "status": "active"}], "okta")
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa", "stuck-state"])
    client = client_of("Engineer")
    page = text(client.get(f"{URL}?search=no-mfa"))
    assert "Could not evaluate <strong>2</strong>: okta does not say whether there is MFA</p>" in page
    assert "Could not evaluate <" not in text(client.get(f"{URL}?search=stuck-state"))
    assert shown(client, "failing=unknown") == ["no-mfa"]


def test_a_check_that_never_ran_is_not_shown_as_zero():
    check_of()
    page = text(client_of("Viewer").get(f"{URL}?search=leaked"))
    assert "failing Leaked" not in page
    assert "never" in page


def test_a_check_that_could_not_run_says_so():
    failing_run("kim@example.com")
    CheckResult.objects.update(error="no such function: example")
    page = text(client_of("Viewer").get(f"{URL}?failing=error"))
    assert "Could not run" in page
    assert "no such function: example" in page


def test_the_filters_narrow_the_table_and_combine():
    failing_run("kim@example.com")
    client = client_of("Engineer")
    assert sorted(shown(client)) == sorted(CATALOGUE)
    assert shown(client, "search=mfa+config") == ["no-mfa"]
    assert set(shown(client, "severity=critical")) == set(
        Check.objects.filter(severity="critical").values_list("slug", flat=True)
    )
    assert "no-mfa" in shown(client, "topic=MFA")
    assert shown(client, "failing=yes") == ["no-mfa"] == shown(client, "failing=new")
    assert set(shown(client, "failing=no")) == set(CATALOGUE) - {"no-mfa"}
    update_check(check_of(), tags=["pci"])
    assert shown(client, "tag=pci") == ["no-mfa"]
    update_check(check_of("password-age"), enabled=False)
    assert shown(client, "enabled=no") == ["password-age"]
    assert shown(client, "enabled=no&failing=yes") == []
    assert "No check matches" in text(client.get(f"{URL}?search=nothing-like-this"))
    assert len(shown(client, "sort=luck")) == len(CATALOGUE)
    assert shown(client, "severity=terrible") == shown(client, "failing=perhaps") == []


def test_the_table_sorts_both_ways():
    failing_run("kim@example.com")
    client = client_of("Engineer")
    titles = shown(client, "sort=title")
    assert titles == list(reversed(shown(client, "sort=-title")))
    assert shown(client, "sort=-failing")[0] == "no-mfa" == shown(client, "sort=failing")[-1]
    assert shown(client, "sort=-last_run")[0] == "no-mfa" == shown(client, "sort=last_run")[-1]
    rank = ["critical", "high", "medium", "low"]
    severities = [rank.index(Check.objects.get(slug=slug).severity) for slug in shown(client)]
    assert severities == sorted(severities)


def test_the_switch_saves_at_once_and_is_on_record():
    check_of()
    client = client_of("Engineer")
    off = client.post("/checks/no-mfa/enabled", {}, headers=HTMX)
    assert not check_of().enabled
    assert "checked" not in text(off)
    assert "is off" in off["HX-Trigger"]
    on = client.post("/checks/no-mfa/enabled", {"enabled": "on"}, headers=HTMX)
    assert check_of().enabled
    assert " checked" in text(on)
    assert said() == ["Changed enabled."] * 2
    entry = AuditEntry.objects.latest("id")
    assert (entry.before, entry.after) == ({"enabled": False}, {"enabled": True})
    assert (entry.actor, entry.address, entry.object_kind) == ("engineer", "127.0.0.1", "checks.check")


def test_several_checks_are_tagged_and_untagged_at_once():
    update_check(check_of(), tags=["tier-1"])
    client = client_of("Engineer")
    data = {
        "slug": ["no-mfa", "mfa-bypass"],
        "action": "add_tag",
        "tag": "pci",
        "back": "/checks/?tag=tier-1",
    }
    assert client.post("/checks/bulk", data)["Location"] == "/checks/?tag=tier-1"
    assert (check_of().tags, check_of("mfa-bypass").tags) == (["pci", "tier-1"], ["pci"])
    client.post("/checks/bulk", {**data, "action": "remove_tag"})
    assert (check_of().tags, check_of("mfa-bypass").tags) == (["tier-1"], [])
    assert said() == ["Changed tags."] * 4


def test_several_checks_are_switched_and_given_a_target_at_once():
    check_of()
    target, client = webhook(), client_of("Engineer")
    data = {"slug": ["no-mfa", "mfa-bypass"]}
    client.post("/checks/bulk", {**data, "action": "disable"})
    assert Check.objects.filter(enabled=False).count() == 2
    client.post("/checks/bulk", {**data, "action": "enable"})
    assert not Check.objects.filter(enabled=False).exists()
    client.post("/checks/bulk", {**data, "action": "add_target", "target": f"{target.id} list"})
    assert target.subscriptions.count() == 2
    client.post("/checks/bulk", {**data, "action": "remove_target", "target": f"{target.id} list"})
    assert target.subscriptions.count() == 0


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"action": "add_tag", "tag": "pci"}, "Select at least one check"),
        ({"action": "add_tag", "slug": "no-mfa", "tag": " "}, "Write the tag."),
        ({"action": "add_tag", "slug": "no-mfa", "tag": "a,b"}, "Use no commas"),
        ({"action": "add_target", "slug": "no-mfa", "target": "x"}, "Choose the target."),
        ({"action": "add_target", "slug": "no-mfa", "target": "9 list"}, "Choose the target."),
        ({"action": "explode", "slug": "no-mfa"}, "Select at least one check"),
    ],
)
def test_a_bulk_change_that_makes_no_sense_says_what_to_do(data, complaint):
    check_of()
    page = client_of("Engineer").post("/checks/bulk", data, follow=True)
    assert complaint in text(page)
    assert check_of().tags == []


def test_an_operator_gives_targets_but_does_not_switch_checks_off():
    check_of()
    target, client = webhook(), client_of("Operator")
    page = text(client.get(URL))
    assert 'value="add_target"' in page
    assert 'value="disable"' not in page
    assert client.post("/checks/bulk", {"slug": "no-mfa", "action": "disable"}).status_code == 403
    assert check_of().enabled
    client.post("/checks/bulk", {"slug": "no-mfa", "action": "add_target", "target": f"{target.id} list"})
    assert target.subscriptions.count() == 1


def test_several_checks_tell_each_user_or_manager_where_the_kind_reaches_them():
    check_of()
    hook = webhook("soar")
    pager = save_integration(name="pager", kind="pagerduty", document={"routing_key": "r" * 32}).integration
    client, data = client_of("Operator"), {"slug": ["no-mfa", "mfa-bypass"], "action": "add_target"}
    offered = text(client.get(URL))
    assert f'<option value="{hook.id} manager">soar (each manager)</option>' in offered
    assert f'<option value="{pager.id} list">pager</option>' in offered
    assert f'value="{pager.id} user"' not in offered
    page = client.post("/checks/bulk", {**data, "target": f"{hook.id} user"}, follow=True)
    assert "soar (each user) enabled on 2 checks." in text(page)
    assert set(hook.subscriptions.values_list("audience", flat=True)) == {"user"}
    page = client.post("/checks/bulk", {**data, "target": f"{pager.id} user"}, follow=True)
    assert "Choose the target." in text(page)
    assert not pager.subscriptions.exists()


# Action, what it takes, and what the dialog says before it.
QUESTIONS = [
    ("disable", {}, "They are no longer evaluated, and nobody is notified. 1 open finding stays as now."),
    ("enable", {}, "All of them are enabled already."),
    ("add_tag", {"tag": "tier-1"}, "The tag tier-1 is added to 2 checks."),
    ("remove_tag", {"tag": "tier-1"}, "The tag tier-1 is removed from 0 checks."),
    ("add_tag", {"tag": " "}, "Write the tag."),
    ("add_target", {"target": "TARGET list"}, "soar is notified of users who newly fail these checks"),
    ("remove_target", {"target": "TARGET list"}, "soar is no longer notified about these checks."),
    ("add_target", {"target": "99 list"}, "Choose the target."),
    ("nothing", {}, "Select at least one check and what to do with it."),
]


@pytest.mark.parametrize(("action", "values", "said_before"), QUESTIONS)
def test_a_bulk_change_is_asked_about_before_it_is_made(action, values, said_before):
    failing_run("kim@example.com")
    target = webhook()
    query = {name: value.replace("TARGET", str(target.pk)) for name, value in values.items()}
    query |= {"action": action, "slug": ["no-mfa", "mfa-bypass"], "back": "/checks/?tag=x"}
    dialog = text(client_of("Engineer").get("/checks/bulk", query, headers=HTMX))
    assert said_before in dialog
    if "Cancel" in dialog:
        assert 'name="slug" value="mfa-bypass"' in dialog
        assert 'name="back" value="/checks/?tag=x"' in dialog
    assert not Check.objects.filter(enabled=False).exists(), "asking changes nothing"


@pytest.mark.parametrize(
    "back", ["https://evil.example/checks/", "//evil.example", "/admin/", "javascript:1"]
)
def test_a_bulk_change_leads_back_to_the_checks_only(back):
    check_of()
    data = {"slug": "no-mfa", "action": "disable", "back": back}
    assert client_of("Engineer").post("/checks/bulk", data)["Location"] == URL


def test_markup_in_a_tag_or_a_targets_name_is_inert():
    update_check(check_of(), tags=["<script>alert(1)</script>"])
    subscribe(check_of(), webhook("<img src=x onerror=alert(1)>"))
    page = text(client_of("Engineer").get(URL))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_takes_few_queries_however_much_there_is():
    failing_run("kim@example.com")
    client = client_of("Engineer")
    before = queries(client, URL)
    run_checks(trigger="command")
    for name in ("a", "b", "c"):
        for slug in ("no-mfa", "mfa-bypass", "inactive-user"):
            subscribe(check_of(slug), webhook(f"{name}-{slug}"))
    assert queries(client, URL) <= before + 1 <= 14


def test_a_sparkline_draws_the_days_that_it_knows_and_says_them_in_words():
    spark = Sparkline([None, 4, 2, None, 10])
    assert spark.label() == "Failing over 30 days: from 4 to 10, highest 10"
    assert spark.points() == [(31.5, 19.5), (60.0, 25.0), (117.0, 3.0)]  # the highest value is at the top
    assert Sparkline([3, 3]).points() == [(3, 14.0), (117.0, 14.0)]
    assert "Never run" in Sparkline([None]).svg()
    assert "polyline" in spark.svg()
