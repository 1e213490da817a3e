"""A check's own pages: failing users, the CSV, exclusions, settings, targets, history."""

import csv
import html
import io
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from checks.models import Exclusion, Run, User
from checks.services import exclude_user, run_checks, update_check
from cii_project.audit.models import AuditEntry
from cii_project.console.checks import exclusion_forms
from cii_project.console.core import list_view, viewer_zone
from cii_project.console.core.csv_export import safe_cell
from cii_project.console.core.failure_reasons import detail_label, detail_text
from integrations.targets import KINDS
from notifications.models import CheckMessageSettings, Delivery, Event, Subscription
from notifications.services import subscribe
from tests.checks.imports import load
from tests.console.checks_world import (
    HTMX,
    beside,
    check_of,
    client_of,
    failing_run,
    queries,
    said,
    text,
    webhook,
)

pytestmark = pytest.mark.django_db
URL = "/checks/no-mfa/"


def names(response) -> list[str]:
    """The users of the list, in their order."""
    return re.findall(r'<a class="c-name" href="[^"]*">([^<]+@[^<]+)</a>', text(response))


# --- Failing users ----------------------------------------------------------------------------------
def test_the_page_says_who_fails_why_since_when_and_what_to_do():
    failing_run("kim@example.com", display_name="Kim Doe", department="Finance")
    page = text(client_of("Viewer").get(URL))
    for part in ("kim@example.com", "Kim Doe", "Finance", "Created at", "1 Jan 2020", "Okta", "NIST-800-53"):
        assert part in page
    assert "younger than 14 days" in page  # the placeholder of the description is filled in
    assert "Exclude…" not in page


def test_an_empty_list_does_not_look_like_all_clear_where_users_could_not_be_evaluated():
    check_of()
    load([{"login": f"u{n}", "status": "active"} for n in range(2)], "okta")
    load([{"login": "bob", "status": "active", "mfa_factors": "fido2"}], "entra")
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa"])
    page = text(client_of("Viewer").get(URL))
    assert "2 of 3 users could not be evaluated" in page
    assert "<li>okta does not say whether there is MFA</li>" in page
    assert "No user is known to fail" in page
    assert "No user fails this check" not in page


def test_a_few_unknown_users_are_counted_beside_an_empty_list():
    check_of()
    load([{"login": f"u{n}", "status": "active", "mfa_factors": "fido2"} for n in range(3)], "okta")
    load([{"login": "bob", "status": "active"}], "entra")
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa"])
    page = text(client_of("Viewer").get(URL))
    assert "No user fails this check" in page
    assert "4 users are in its scope; 1 of them could not be evaluated." in page


def test_the_description_follows_the_settings():
    update_check(check_of(), settings={"grace_days": 30})
    assert "younger than 30 days" in text(client_of("Viewer").get(URL))


def test_a_check_that_does_not_exist_is_not_found():
    check_of()
    client = client_of("Viewer")
    for url in (
        "/checks/nope/",
        "/checks/nope/settings",
        "/checks/nope/messages",
        "/checks/nope/failing.csv",
    ):
        assert client.get(url).status_code == 404


def test_markup_in_a_users_name_is_inert():
    failing_run("<b>kim</b>@example.com", display_name='"><script>alert(1)</script>')
    page = text(client_of("Operator").get(URL))
    assert "<script>alert" not in page
    assert "<b>kim" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("search", ["ki", "KI", "Ki", "kim@example.com", "lee d", "Lee D"])
def test_the_search_finds_by_how_a_name_begins_whatever_the_case(search):
    failing_run("kim@example.com")
    failing_run("other@example.com", display_name="Lee Doe")
    wanted = "kim@example.com" if search.lower().startswith("ki") else "other@example.com"
    assert names(client_of("Viewer").get(URL, {"search": search})) == [wanted]


def test_the_search_takes_no_wildcard_and_no_null_byte():
    failing_run("kim@example.com")
    client = client_of("Viewer")
    for search in ("%", "_im", "im@", "zz"):
        assert names(client.get(URL, {"search": search})) == []
    assert names(client.get(URL, {"search": "k\x00im"})) == ["kim@example.com"]


def test_the_filters_narrow_by_who_and_by_since_when():
    failing_run("plain@example.com")
    Run.objects.update(started_at=timezone.now() - timedelta(days=40))
    failing_run("admin@example.com", admin=True)
    failing_run("guest@example.com", guest=True)
    client = client_of("Viewer")

    def found(**query: str) -> set[str]:
        return {name.split("@")[0] for name in names(client.get(URL, query))}

    assert found() == {"admin", "guest", "plain"}
    assert found(group="admin") == {"admin"}
    assert found(group="guest") == {"guest"}
    assert found(group="person") == {"admin", "plain"}
    assert found(age="run") == {"guest"}
    assert found(age="older") == {"plain"}
    assert found(age="30") == {"admin", "guest"}
    assert found(group="admin", age="older") == set()
    assert found(sort="luck") == {"admin", "guest", "plain"}
    assert found(group="kings") == found(age="eternal") == set()


@pytest.mark.parametrize("sort", ["-failing_since", "failing_since", "user", "-user"])
def test_paging_by_key_visits_every_user_once_and_comes_back(monkeypatch, sort):
    everybody = [f"user{number:03}@example.com" for number in range(120)]
    failing_run(*everybody)
    client = client_of("Viewer")
    url, pages = f"{URL}?sort={sort}", []
    while url:
        answer = client.get(url)
        pages.append(names(answer))
        following = re.search(r'href="(\?[^"]+)" rel="next"', text(answer))
        url = URL + following[1].replace("&amp;", "&") if following else ""
    assert [len(page) for page in pages] == [50, 50, 20]
    seen = [name for page in pages for name in page]
    assert sorted(seen) == everybody
    if "user" in sort:
        assert seen == sorted(everybody, reverse=sort == "-user")
    back = re.search(r'href="(\?[^"]+)" rel="prev"', text(answer))
    assert names(client.get(URL + back[1].replace("&amp;", "&"))) == pages[1]


def test_a_cursor_that_somebody_made_up_shows_the_first_page():
    failing_run("kim@example.com")
    client = client_of("Viewer")
    for cursor in ("nonsense", "W10", "WzAsICJ4Il0", "A" * 500, "AA=="):
        assert names(client.get(URL, {"page": cursor})) == ["kim@example.com"]


def test_each_state_without_rows_is_explained():
    check_of()
    client = client_of("Viewer")
    assert "Not run yet" in text(client.get(URL))
    failing_run()
    assert "No user fails this check" in text(client.get(URL))
    assert "No failing user matches" in text(client.get(URL, {"search": "x"}))


def test_an_error_of_the_last_run_is_shown_with_the_figures_of_the_run_before():
    failing_run("kim@example.com")
    failing_run()
    check_of().results.filter(id=check_of().results.order_by("-id").first().id).update(error="broken <rule>")
    page = text(client_of("Viewer").get(URL))
    assert "broken &lt;rule&gt;" in page
    assert "of 2 in its scope" in page or "of 1 in its scope" in page


def test_the_page_takes_few_queries_however_many_fail():
    failing_run("kim@example.com")
    client = client_of("Operator")
    few = queries(client, URL)
    failing_run(*(f"user{number}@example.com" for number in range(60)))
    assert queries(client, URL) <= few <= 18


# --- CSV --------------------------------------------------------------------------------------------
def rows_of(response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_the_csv_has_all_who_match_chunk_by_chunk(monkeypatch):
    monkeypatch.setattr(list_view, "EXPORT_CHUNK", 2)
    boss = User.objects.create(name="boss@example.com")
    failing_run(*(f"user{number}@example.com" for number in range(5)), department="IT", manager=boss)
    failing_run("other@example.com")
    client = client_of("Viewer")
    answer = client.get(f"{URL}failing.csv?search=user")
    rows = rows_of(answer)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "no-mfa-failing-" in answer["Content-Disposition"]
    assert [row["user"] for row in rows] == [f"user{number}@example.com" for number in range(5)][::-1]
    assert {row["manager"] for row in rows} == {"boss@example.com"}
    assert "Created at: 1 Jan 2020" in rows[0]["why"]
    assert len(rows_of(client.get(f"{URL}failing.csv"))) == 6


def test_an_export_is_recorded_with_who_took_it_and_its_filters():
    failing_run("ann@example.com")
    client_of("Viewer").get(f"{URL}failing.csv?search=ann")
    entry = AuditEntry.objects.get(action="export")
    assert (entry.actor, entry.address, entry.object_label) == ("viewer", "127.0.0.1", "no-mfa")
    assert entry.after == {"filters": {"search": "ann"}}


def test_the_csv_holds_no_formula():
    failing_run('=HYPERLINK("http://evil.example")', display_name="@SUM(A1)", department="-2+3", title="\tx")
    (row,) = rows_of(client_of("Viewer").get(f"{URL}failing.csv"))
    assert row["user"] == '\'=HYPERLINK("http://evil.example")'
    assert (row["display_name"], row["department"], row["title"]) == ("'@SUM(A1)", "'-2+3", "'\tx")


@pytest.mark.parametrize("text_in", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "  =1", "\uff1d1"])
def test_what_a_spreadsheet_takes_for_a_formula_is_quoted(text_in):
    assert safe_cell(text_in) == f"'{text_in}"


def test_a_harmless_cell_stays_as_it_is():
    assert [safe_cell(value) for value in ("kim@example.com", "", "a=b", 3)] == [
        "kim@example.com",
        "",
        "a=b",
        "3",
    ]


def test_details_read_like_words():
    assert detail_label("lastSignIn") == "Last sign in"
    assert detail_label("sourcesWithoutMfa") == "Sources without MFA"
    assert detail_label("mfaFactors") == "MFA factors"
    assert detail_text("2026-01-02T00:00:00.000Z") == "2 Jan 2026"
    assert detail_text("2026-01-02T03:04:05.000Z") == "2 Jan 2026, 03:04 UTC"
    assert detail_text("not-a-date-Tat-all-") == "not-a-date-Tat-all-"
    assert detail_text(["Okta", "Entra"]) == "Okta, Entra"
    assert detail_text([]) == "none" == detail_text(None)
    assert (detail_text(True), detail_text(0), detail_text(7)) == ("yes", "0", "7")
    assert detail_text({"managerName": "Kim", "ok": False}) == "manager name Kim, ok no"


# --- Exclusions -------------------------------------------------------------------------------------
def test_a_user_is_excluded_with_a_reason_and_an_end():
    failing_run("kim@example.com")
    kim = User.objects.get(name="kim@example.com")
    client = client_of("Operator")
    assert "kim@example.com" in text(client.get(f"{URL}exclude/{kim.id}", headers=HTMX))
    last_day = timezone.now().date() + timedelta(days=3)
    data = {"reason": "Break-glass account", "until": last_day.isoformat()}
    assert client.post(f"{URL}exclude/{kim.id}", data, headers=HTMX)["HX-Redirect"] == URL
    exclusion = Exclusion.objects.get()
    assert exclusion.until.date() == last_day + timedelta(days=1)
    assert exclusion.created_by.username == "operator"
    assert said() == ["Excluded kim@example.com: Break-glass account"]
    assert "Excluded from the next run on" in text(client.get(URL))
    failing_run()
    assert names(client.get(URL)) == []


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"reason": ""}, "This field is required."),
        ({"reason": "x" * 501}, "at most 500 characters"),
        ({"reason": "why", "until": "2020-01-01"}, "Choose today or a later day."),
        ({"reason": "why", "until": "tomorrow"}, "Enter a valid date."),
    ],
)
def test_an_exclusion_needs_a_reason_and_an_end_to_come(data, complaint):
    failing_run("kim@example.com")
    answer = client_of("Operator").post(f"{URL}exclude/{User.objects.get().id}", data, headers=HTMX)
    assert answer.status_code == 200
    assert complaint in text(answer)
    assert not Exclusion.objects.exists()


def test_today_is_a_last_day():
    failing_run("kim@example.com")
    data = {"reason": "why", "until": date.today().isoformat()}
    client_of("Operator").post(f"{URL}exclude/{User.objects.get().id}", data, headers=HTMX)
    assert Exclusion.objects.get().until > timezone.now()


# The cookie of the browser's zone, and the offset of that zone's midnight in UTC on a day in December.
ZONES = [("", 0), ("Europe/Berlin", 1), ("America/New_York", -5), ("../../etc/passwd", 0), ("Mars/Base", 0)]


@pytest.mark.parametrize(("zone", "offset"), ZONES)
def test_the_last_day_counts_to_its_end_in_the_zone_of_who_sets_it(zone, offset, monkeypatch):
    failing_run("kim@example.com")
    noon = datetime(2026, 12, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(viewer_zone, "today", lambda zone: noon.astimezone(zone).date())
    monkeypatch.setattr(exclusion_forms, "today", viewer_zone.today)
    monkeypatch.setattr(timezone, "now", lambda: noon)
    client, kim = client_of("Operator"), User.objects.get()
    client.cookies["zone"] = zone
    data = {"reason": "why", "period": "date", "until": "2026-12-03"}
    client.post(f"{URL}exclude/{kim.pk}", data, headers=HTMX)
    midnight = datetime(2026, 12, 4, tzinfo=UTC)
    assert Exclusion.objects.get().until == midnight - timedelta(hours=offset)
    assert "3 Dec 2026" in text(client.get(f"{URL}exclusions"))
    assert 'value="2026-12-03"' in text(client.get(f"{URL}exclude/{kim.pk}", headers=HTMX))
    client.post(f"{URL}exclude/{kim.pk}", {"reason": "why", "period": "7"}, headers=HTMX)
    assert Exclusion.objects.get().until == midnight + timedelta(days=5) - timedelta(hours=offset)


def test_users_are_excluded_by_name_before_they_fail():
    check_of()
    load(
        [{"login": f"u{n}", "email": f"user{n}@example.com", "mfa_factors": "fido2"} for n in range(3)],
        "okta",
    )
    client, address = client_of("Operator"), f"{URL}exclusions/add"
    wrong = {"users": "U0, nobody\nuser1@example.com", "reason": "Robots", "period": "90"}
    answer = text(client.post(address, wrong, headers=HTMX))
    assert "“nobody” is no user" in answer
    assert not Exclusion.objects.exists()
    answer = client.post(address, wrong | {"users": "U0\nu0\nUSER1@example.com"}, headers=HTMX)
    assert answer["HX-Redirect"] == f"{URL}exclusions"
    assert sorted(Exclusion.objects.values_list("user__login", flat=True)) == ["u0", "u1"]
    assert said() == ["Excluded user0@example.com: Robots", "Excluded user1@example.com: Robots"]


@pytest.mark.parametrize(
    ("users", "complaint"),
    [("", "Write the login or e-mail"), ("\n".join(f"u{n}" for n in range(501)), "There are 501 lines")],
)
def test_excluding_nobody_and_too_many_is_refused(users, complaint):
    check_of()
    data = {"users": users, "reason": "x", "period": ""}
    assert complaint in text(client_of("Operator").post(f"{URL}exclusions/add", data, headers=HTMX))


def test_a_login_of_two_users_excludes_neither():
    check_of()
    load([{"login": "sam", "email": "sam@a.example", "employee_id": "1"}], "okta")
    load([{"login": "sam", "email": "sam@b.example", "employee_id": "2"}], "entra")
    assert User.objects.count() == 2
    data = {"users": "sam", "reason": "x", "period": ""}
    answer = text(client_of("Operator").post(f"{URL}exclusions/add", data, headers=HTMX))
    assert "“sam” is a login or e-mail of 2 users." in answer
    assert not Exclusion.objects.exists()


def test_an_exclusion_is_edited_and_the_second_of_two_tabs_reads_what_the_first_saved():
    failing_run("kim@example.com")
    kim, client = User.objects.get(), client_of("Operator")
    exclude_user(check_of(), kim, reason="On leave")
    address = f"{URL}exclude/{kim.pk}"
    version = html.unescape(hidden(text(client.get(address, headers=HTMX)), "version"))
    first = {"reason": "Sabbatical", "period": "", "version": version, "back": "exclusions"}
    assert client.post(address, first, headers=HTMX)["HX-Redirect"] == f"{URL}exclusions"
    second = text(client.post(address, first | {"reason": "Left"}, headers=HTMX))
    assert re.search(r"operator \(\d\d:\d\d UTC\) changed this while you were editing", second)
    assert "Now stored: Sabbatical" in second
    assert Exclusion.objects.get().reason == "Sabbatical"
    again = first | {"reason": "Left", "version": html.unescape(hidden(second, "version"))}
    client.post(address, again, headers=HTMX)
    assert Exclusion.objects.get().reason == "Left"


def test_a_user_excluded_meanwhile_in_another_tab_is_not_excluded_again_silently():
    failing_run("kim@example.com")
    kim, client = User.objects.get(), client_of("Operator")
    address = f"{URL}exclude/{kim.pk}"
    version = html.unescape(hidden(text(client.get(address, headers=HTMX)), "version"))
    exclude_user(check_of(), kim, reason="On leave")
    answer = text(client.post(address, {"reason": "x", "period": "7", "version": version}, headers=HTMX))
    assert "Now stored: On leave" in answer
    assert Exclusion.objects.get().until is None


def hidden(page: str, name: str) -> str:
    (found,) = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    return found


def test_exclusions_are_removed_together_after_a_question():
    failing_run("kim@example.com", "lee@example.com", "max@example.com")
    found = [exclude_user(check_of(), user, reason="x") for user in User.objects.order_by("name")]
    elsewhere = exclude_user(check_of("mfa-bypass"), User.objects.first(), reason="x")
    client, address = client_of("Operator"), f"{URL}exclusions/remove"
    chosen = {"exclusion": [found[0].pk, found[2].pk, elsewhere.pk]}
    dialog = text(client.get(address, chosen, headers=HTMX))
    assert "These 2 users are evaluated" in dialog
    assert Exclusion.objects.count() == 4
    assert "Select at least one user" in text(client.get(address, headers=HTMX))
    client.post(address, chosen, headers=HTMX)
    assert set(Exclusion.objects.all()) == {found[1], elsewhere}
    assert client_of("Viewer").post(address, chosen).status_code == 403


def test_an_exclusion_is_listed_and_removed():
    failing_run("kim@example.com")
    exclusion = exclude_user(check_of(), User.objects.get(), reason="On leave")
    client = client_of("Operator")
    page = text(client.get(f"{URL}exclusions"))
    assert "On leave" in page
    assert "For good" in page
    dialog = text(client.get(f"{URL}exclusions/{exclusion.id}/remove", headers=HTMX))
    assert f'name="exclusion" value="{exclusion.id}"' in dialog
    client.post(f"{URL}exclusions/{exclusion.id}/remove")
    assert not Exclusion.objects.exists()
    assert said() == ["Removed the exclusion of kim@example.com"]
    assert "No user is excluded" in text(client.get(f"{URL}exclusions"))


def test_a_viewer_excludes_nobody():
    failing_run("kim@example.com")
    kim, client = User.objects.get(), client_of("Viewer")
    exclusion = exclude_user(check_of(), kim, reason="On leave")
    assert "Remove" not in text(client.get(f"{URL}exclusions"))
    assert client.get(f"{URL}exclude/{kim.id}", headers=HTMX).status_code == 403
    assert client.post(f"{URL}exclude/{kim.id}", {"reason": "x"}, headers=HTMX).status_code == 403
    assert client.post(f"{URL}exclusions/{exclusion.id}/remove").status_code == 403
    assert Exclusion.objects.count() == 1


def test_an_exclusion_is_removed_through_its_own_check_only():
    failing_run("kim@example.com")
    exclusion = exclude_user(check_of(), User.objects.get(), reason="On leave")
    answer = client_of("Operator").post(f"/checks/mfa-bypass/exclusions/{exclusion.id}/remove")
    assert answer.status_code == 404
    assert Exclusion.objects.exists()


# --- Settings ---------------------------------------------------------------------------------------
FORM = {
    "set-grace_days": "14",
    "severity": "critical",
    "tags": "",
    "included_domains": "",
    "ignored_domains": "",
    "ignored_logins": "",
}


def test_settings_severity_tags_and_scope_are_saved_and_on_record():
    check_of()
    data = {
        **FORM,
        "set-grace_days": "30",
        "severity": "low",
        "tags": "pci\ntier-1\npci\n",
        "ignored_domains": "partner.example, old.example",
        "ignored_logins": "root@example.com",
    }
    answer = client_of("Engineer").post(f"{URL}settings", data, follow=True)
    assert "Saved." in text(answer)
    check = check_of()
    assert (check.settings, check.severity, check.tags) == ({"grace_days": 30}, "low", ["pci", "tier-1"])
    assert check.ignored_domains == ["old.example", "partner.example"]
    assert check.ignored_logins == ["root@example.com"]
    assert said() == ["Changed severity, tags, ignored domains, ignored logins, setting grace days."]


def test_messages_of_a_check_differ_from_those_of_the_installation():
    check_of()
    client = client_of("Engineer")
    page = client.get(f"{URL}settings").content.decode()
    assert 'placeholder="your IT help desk"' in page
    own = {"contact": "the MFA team", "due_days": "3", "sender": "mfa@example.com", "sender_name": "MFA team"}
    answer = client.post(f"{URL}settings", {**FORM, **own}, follow=True)
    assert 'value="the MFA team"' in answer.content.decode()
    stored = CheckMessageSettings.objects.get()
    assert (stored.check_ref.slug, stored.contact, stored.due_days) == ("no-mfa", "the MFA team", 3)
    assert said() == ["Changed contact, due days, sender, sender name of its messages."]
    client.post(f"{URL}settings", FORM)
    assert not CheckMessageSettings.objects.exists()


def test_saving_what_is_already_so_says_so_and_records_nothing():
    check_of()
    answer = client_of("Engineer").post(f"{URL}settings", FORM, follow=True)
    assert "Nothing was changed." in text(answer)
    assert said() == []


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("set-grace_days", "-1", "greater than or equal to 0"),
        ("set-grace_days", "100000", "less than or equal to"),
        ("set-grace_days", "soon", "Enter a whole number."),
        ("severity", "awful", "Select a valid choice."),
        ("ignored_domains", "not a domain!", "is not a domain name"),
        ("tags", "x" * 65, "Use 1 to 64"),
        ("sender", "not an address", "Write an e-mail address"),
        ("instructions_url", "http://example.com", "starts with https://"),
        ("ignored_logins", "y" * 321, "1 to 320 characters"),
    ],
)
def test_a_value_out_of_bounds_is_refused_beside_its_field(field, value, complaint):
    check_of()
    answer = client_of("Engineer").post(f"{URL}settings", {**FORM, "severity": "low", field: value})
    page = text(answer)
    assert answer.status_code == 200
    assert complaint in beside(page, field)
    assert (check_of().severity, check_of().settings) == ("critical", {})


def test_the_count_before_saving_follows_the_form_and_writes_nothing():
    failing_run("kim@example.com", "lee@example.com")
    client = client_of("Engineer")
    url = f"{URL}would-fail"
    assert "no change" in text(client.post(url, FORM, headers=HTMX))
    fewer = text(client.post(url, {**FORM, "ignored_logins": "kim@example.com"}, headers=HTMX))
    assert ">1</strong>" in fewer
    assert ">-1</span>" in fewer
    wrong = text(client.post(url, {**FORM, "set-grace_days": "99999"}, headers=HTMX))
    assert "Grace period in days: Ensure this value is less than or equal" in wrong
    assert "is not a domain name" in text(client.post(url, {**FORM, "ignored_domains": "?"}, headers=HTMX))
    assert check_of().ignored_logins == []


@pytest.mark.parametrize("role", ["Viewer", "Operator"])
def test_who_is_no_engineer_reads_the_settings_only(role):
    check_of()
    client = client_of(role)
    page = text(client.get(f"{URL}settings"))
    assert "needs the role Engineer" in page
    assert ">Save</button>" not in page
    for url in (f"{URL}settings", f"{URL}would-fail"):
        assert client.post(url, {**FORM, "severity": "low"}).status_code == 403
    assert check_of().severity == "critical"


def test_every_checks_settings_page_shows_its_own_fields():
    check_of()
    client = client_of("Engineer")
    for slug, field in (
        ("denied-territory", "countries"),
        ("hr-mismatch", "fields"),
        ("inactive-account-probing", "attempts"),
    ):
        assert f'name="set-{field}"' in text(client.get(f"/checks/{slug}/settings"))


# --- Targets ----------------------------------------------------------------------------------------
def test_enabling_a_target_is_saved_at_once_and_can_be_undone():
    failing_run("kim@example.com")
    target, client = webhook("soar"), client_of("Operator")
    url = f"{URL}targets/{target.id}/list"
    assert url in text(client.get(URL))
    answer = text(client.post(url, {"enabled": "on"}, headers=HTMX))
    assert Subscription.objects.get().audience == "list"
    assert 'id="targets-count" class="chk-pill" hx-swap-oob="true">1<' in answer
    assert ">Undo</button>" in answer
    assert f'hx-post="{url}"' in answer
    assert "hx-vals" not in answer  # the undo of enabling sends no value
    undone = text(client.post(url, {}, headers=HTMX))
    assert not Subscription.objects.exists()
    assert """hx-vals='{"enabled": "on"}'""" in undone
    assert not Delivery.objects.exists()
    assert said() == ["Target “soar” enabled (list).", "Target “soar” disabled (list)."]


def test_the_dropdown_offers_users_and_managers_where_the_kind_reaches_them():
    check_of()
    target, client = webhook("soar"), client_of("Operator")
    page = text(client.get(URL))
    for audience in KINDS["webhook"].audiences:
        assert f"{URL}targets/{target.id}/{audience}" in page
    client.post(f"{URL}targets/{target.id}/manager", {"enabled": "on"}, headers=HTMX)
    assert Subscription.objects.get().audience == "manager"
    answer = client.post(f"{URL}targets/{target.id}/everybody", {"enabled": "on"}, headers=HTMX)
    assert "cannot reach" in answer["HX-Trigger"]
    assert Subscription.objects.count() == 1


def test_a_viewer_sees_the_targets_and_ticks_none():
    check_of()
    target, client = webhook("soar"), client_of("Viewer")
    page = text(client.get(URL))
    assert "soar" in page
    assert "hx-post" not in page
    assert client.post(f"{URL}targets/{target.id}/list", {"enabled": "on"}, headers=HTMX).status_code == 403
    assert not Subscription.objects.exists()


def test_without_a_target_the_dropdown_leads_to_the_integrations():
    check_of()
    assert "There is no target yet." in text(client_of("Operator").get(URL))


def test_who_fails_now_is_sent_after_the_count_was_confirmed():
    failing_run("kim@example.com", "lee@example.com")
    target, client = webhook("soar"), client_of("Operator")
    subscribe(check_of(), target)
    url = f"{URL}send-current/{target.id}/list"
    assert url in text(client.get(URL))
    assert '2 users</strong> failing <strong class="c-name">No MFA Configured<' in text(
        client.get(url, headers=HTMX)
    )
    assert not Event.objects.exists()
    answer = client.post(url, headers=HTMX)
    assert "close-dialog" in answer["HX-Trigger"]
    assert (Event.objects.get().origin, Delivery.objects.get().users) == ("current", 2)
    assert any("All who fail now sent" in entry for entry in said())


def test_each_user_and_each_manager_can_be_sent_what_fails_now_too():
    failing_run("kim@example.com", "lee@example.com")
    target, client = webhook("soar"), client_of("Operator")
    subscribe(check_of(), target, audience="user")
    url = f"{URL}send-current/{target.id}/user"
    page = text(client.get(URL))
    assert url in page
    assert f"{URL}send-current/{target.id}/list" not in page
    assert "a message to each of them" in text(client.get(url, headers=HTMX))
    client.post(url, headers=HTMX)
    assert sorted(Delivery.objects.values_list("audience", "recipient__name")) == [
        ("user", "kim@example.com"),
        ("user", "lee@example.com"),
    ]
    assert client.get(f"{URL}send-current/{target.id}/everybody", headers=HTMX).status_code == 404


def test_nothing_is_sent_where_nobody_fails():
    failing_run()
    target, client = webhook("soar"), client_of("Operator")
    url = f"{URL}send-current/{target.id}/list"
    assert "nothing to send" in text(client.get(url, headers=HTMX))
    assert "nothing was sent" in client.post(url, headers=HTMX)["HX-Trigger"]
    assert not Event.objects.exists()
    assert client_of("Viewer").post(url, headers=HTMX).status_code == 403


# --- History ----------------------------------------------------------------------------------------
def test_the_history_shows_each_run_and_draws_the_last_of_each_day():
    failing_run("kim@example.com")
    failing_run("lee@example.com")
    page = text(client_of("Viewer").get(f"{URL}history"))
    assert page.count("/runs/") >= 2
    assert "&quot;data&quot;: [2]" in page
    assert "No run yet" in text(client_of("Engineer").get("/checks/mfa-bypass/history"))


@pytest.mark.parametrize("page", ["settings", "exclusions", "history"])
def test_the_other_pages_take_few_queries(page):
    failing_run("kim@example.com")
    assert queries(client_of("Engineer"), f"{URL}{page}") <= 14
