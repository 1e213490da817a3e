"""Users in the browser: searching, filters kept by name, one user's page, linking by hand."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from checks import user_search
from checks.models import Account, Check, Exclusion, Finding, Run, Source, SourceFreshness, User
from checks.services import CATALOGUE, exclude_user, run_checks
from cii_project.console.users.account_tables import account_factors, compare_accounts, named_users
from notifications.models import Event
from notifications.planning import finding_ranges
from tests.console.checks_world import (
    HTMX,
    LONG_AGO,
    check_of,
    client_of,
    delivered,
    fail,
    failing_run,
    queries,
    said,
    text,
    webhook,
)

pytestmark = pytest.mark.django_db


def names(query="", client=None):
    client = client or client_of("Viewer")
    return re.findall(r'class="c-name" href="/users/\d+/">(.*?)</a>', text(client.get(f"/users/?{query}")))


def test_the_search_finds_by_the_beginning_of_name_mail_and_login_in_any_case():
    fail("ann@example.com")
    fail("bob@example.com", display_name="Anna Bob")
    accounts = (("cid@example.com", {"login": "ANNEX"}), ("dan@example.com", {"employee_id": "ANN"}))
    for name, known in accounts:
        fail(name)
        record(name, **known)
    fail("hannah@example.com")
    client = client_of("Viewer")
    assert names("q=ANN", client) == ["ann@example.com", "Anna Bob", "cid@example.com", "dan@example.com"]
    for text_written, found in (("annex", ["cid@example.com"]), ("%", []), ("_nn", [])):
        assert names(f"q={quote(text_written)}", client) == found


def test_of_what_begins_as_many_do_all_names_are_listed_and_a_part_of_the_rest(monkeypatch):
    monkeypatch.setattr(user_search, "LIMIT", 3)
    for number in range(9):
        fail(f"Ann{number}@example.com")
        fail(f"zoe{number}@example.com", display_name=f"Ann {number}")
    assert names("q=ann") == [*(f"Ann{n}@example.com" for n in range(9)), *(f"Ann {n}" for n in range(3))]
    page = text(client_of("Operator").get("/users/?q=ann"))
    assert "of the others 3" in page
    assert "of the others" not in text(client_of("Engineer").get("/users/?q=ann1"))


def test_the_pages_of_a_search_join_without_a_gap_whatever_part_a_user_comes_from(monkeypatch):
    monkeypatch.setattr(user_search, "LIMIT", 80)
    for number in range(90):
        User.objects.create(name=f"{'Aa'[number % 2]}nn{number:03}@example.com")
        User.objects.create(name=f"zoe{number:03}@example.com", display_name=f"Ann {number:03}")
    client, address, found = client_of("Viewer"), "/users/?q=ann", []
    while address:
        page = text(client.get(address))
        found += re.findall(r'class="c-name" href="/users/(\d+)/">', page)
        following = re.search(r'href="(\?[^"]*)" rel="next"', page)
        address = f"/users/{following[1].replace('&amp;', '&')}" if following else ""
    assert len(found) == len(set(found)) == 90 + 80


def record(name: str, *, login: str = "x", employee_id: str = "") -> None:
    """An account of the user, as an import writes it."""
    source = Source.objects.get_or_create(slug="okta", name="Okta")[0]
    Account.objects.create(
        source=source,
        user=User.objects.get(name=name),
        login=login,
        login_key=f"{login}".casefold(),
        employee_id=employee_id,
        employee_key=employee_id.casefold(),
    )


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status=suspended", ["suspended@example.com"]),
        ("type=guest", ["guest@example.com"]),
        ("flag=admin", ["admin@example.com"]),
        ("flag=nhi", ["robot@example.com"]),
        ("flag=unprotected", ["gone@example.com"]),
    ],
)
def test_the_filters_narrow_the_list(query, wanted):
    fail("suspended@example.com", status="suspended")
    fail("guest@example.com", user_type="guest", guest=True)
    fail("admin@example.com", admin=True)
    fail("robot@example.com", nhi=True)
    fail("gone@example.com", protected=False)
    assert names(query) == wanted


def test_the_list_shows_who_fails_a_check_and_how_many_each_fails():
    failing_run("ann@example.com")
    fail("bob@example.com")
    assert names("check=no-mfa") == ["ann@example.com"]
    page = text(client_of("Operator").get("/users/?q=ann"))
    assert '<strong class="c-bad">1</strong>' in page


@pytest.mark.parametrize("few", [0, 5000])
def test_who_fails_a_check_is_paged_by_name_whether_many_or_few_do(monkeypatch, few):
    monkeypatch.setattr("cii_project.console.core.list_view.MOST_COUNTED", few)
    all_names = [f"{letter}{number:02}@example.com" for number in range(40) for letter in "Aé_z"]
    failing_run(*all_names)
    client = client_of("Viewer")
    in_order = list(User.objects.order_by("name").values_list("name", flat=True))
    for address, wanted in (
        ("/users/?check=no-mfa", in_order),
        ("/checks/no-mfa/?sort=user", in_order),
        ("/checks/no-mfa/?sort=-user", in_order[::-1]),
    ):
        seen, backwards, first = [], "", address
        while address:
            page = text(client.get(address))
            seen.append(re.findall(r'href="/users/\d+/"[^>]*>(.*?)</a>', page))
            following = re.search(r'href="(\?[^"]*)"[^>]* rel="next"', page)
            before = re.search(r'href="(\?[^"]*)"[^>]* rel="prev"', page)
            backwards = before[1].replace("&amp;", "&") if before else ""
            address = first.partition("?")[0] + following[1].replace("&amp;", "&") if following else ""
        assert [name for names in seen for name in names] == wanted
        page = text(client.get(first.partition("?")[0] + backwards))
        assert re.findall(r'href="/users/\d+/"[^>]*>(.*?)</a>', page) == seen[-2]


def test_a_long_list_is_paged_by_key():
    User.objects.bulk_create(User(name=f"user{number:03}@example.com") for number in range(120))
    client = client_of("Viewer")
    page, seen = text(client.get("/users/")), []
    while True:
        seen += re.findall(r'href="/users/\d+/">(.*?)</a>', page)
        following = re.search(r'href="(\?[^"]*)" rel="next"', page)
        if not following:
            break
        page = text(client.get(f"/users/{following[1].replace('&amp;', '&')}"))
    assert seen == [f"user{number:03}@example.com" for number in range(120)]


def test_nobody_matching_differs_from_nobody_at_all():
    client = client_of("Operator")
    assert "No users yet" in text(client.get("/users/"))
    assert "No user matches" in text(client.get("/users/?q=zoe"))


# --- One user ------------------------------------------------------------------------------------------
def account(slug, **values):
    source, _ = Source.objects.get_or_create(slug=slug, defaults={"name": slug.title()})
    return Account(source=source, login="ann", login_key="ann", **values)


def test_sources_that_differ_are_marked_and_what_nobody_says_is_left_out():
    lines = compare_accounts(
        [
            account("okta", department="Sales ", title="Clerk"),
            account("entra", department="sales", title="Boss"),
        ]
    )
    found = {line.label: (line.values, line.differs) for line in lines}
    assert found["Department"] == (["Sales ", "sales"], False)
    assert found["Title"] == (["Clerk", "Boss"], True)
    assert "Phone" not in found


def test_one_manager_named_by_mail_here_and_by_number_there_is_no_difference():
    fail("boss@example.com")
    Account.objects.filter(login_key="boss@example.com").update(employee_key="e9")
    keys = {"manager_key": "boss@example.com"}, {"manager_key": "e9"}, {"manager_key": "other"}
    by_mail, by_number, another = (account("okta", manager=key["manager_key"].upper(), **key) for key in keys)
    people = named_users([by_mail, by_number, another])
    assert [
        line.differs for line in compare_accounts([by_mail, by_number], people) if line.label == "Manager"
    ] == [False]
    assert [
        line.differs for line in compare_accounts([by_mail, another], people) if line.label == "Manager"
    ] == [True]


def test_the_page_counts_what_the_sources_differ_in_and_marks_nothing_where_they_agree():
    user = User.objects.create(name="ann")
    for slug, department in (("okta", "Sales"), ("entra", "Sales"), ("workday", "Law")):
        one = account(slug, department=department, title="Clerk" if slug == "okta" else "Boss")
        one.user = user
        one.save()
    client = client_of("Viewer")
    assert "2 fields differ" in text(client.get(f"/users/{user.pk}/"))
    user.accounts.exclude(source__slug="okta").delete()
    assert "differ" not in text(client.get(f"/users/{user.pk}/"))


def test_none_differs_from_unknown():
    found = {
        line.label: line.values
        for line in compare_accounts([account("a", manager=""), account("b", groups=[])])
    }
    assert found["Manager"] == ["", None]
    assert found["Groups"] == [None, ""]


def test_factors_carry_their_assurance():
    one = account(
        "okta", mfa_factors=[{"kind": "sms"}, {"kind": "webauthn", "status": "inactive"}, {"kind": "odd"}]
    )
    assert [(f.kind, f.assurance, f.active) for f in account_factors(one) or []] == [
        ("sms", "Low", True),
        ("webauthn", "High", False),
        ("odd", "Unknown", True),
    ]
    assert account_factors(account("okta")) is None


def test_the_page_tells_what_fails_what_was_excluded_and_what_was_sent():
    run = failing_run("ann@example.com")
    user = User.objects.get()
    exclude_user(Check.objects.get(slug="mfa-bypass"), user, reason="Token on order")
    event = Event.objects.create(
        origin="run", run=run, check_ref=Check.objects.get(slug="no-mfa"), created_at=timezone.now()
    )
    soar = webhook("soar")
    finding = user.findings.get(check_ref=event.check_ref)
    delivered(soar, event=event, batches=2, finding_ranges=finding_ranges.from_ids([finding.pk + 1]))
    delivered(soar, event=event, batch=2, batches=2, finding_ranges=finding_ranges.from_ids([finding.pk]))
    delivered(webhook("siem"), event=event)
    page = " ".join(text(client_of("Viewer").get(f"/users/{user.pk}/")).split())
    assert "No MFA Configured" in page
    assert "Token on order" in page
    assert "(batch 2 of 2)" in page
    assert "(batch 1 of 2)" not in page
    assert "soar" in page
    assert "siem" not in page


def test_the_page_names_the_recipient_of_a_message_about_the_user():
    run = failing_run("ann@example.com")
    ann = User.objects.get()
    boss = User.objects.create(name="boss@example.com")
    User.objects.update(manager=boss)
    finding = ann.findings.first()
    event = Event.objects.create(
        origin="run", run=run, check_ref=finding.check_ref, created_at=timezone.now()
    )
    mail = webhook("mail")
    delivered(mail, event=event, audience="user", recipient=ann, finding=finding)
    # A user who fails and has reports gets one message, kept as one to a failing user.
    delivered(
        mail,
        event=event,
        audience="user",
        batch=2,
        recipient=boss,
        finding_ranges=finding_ranges.from_ids([finding.pk]),
    )
    delivered(mail, event=event, audience="manager", recipient=None, finding=finding)
    page = " ".join(text(client_of("Viewer").get(f"/users/{ann.pk}/")).split())
    sent = page[page.index("What was sent about this user") :]
    assert sorted(re.findall(r'data-label="To">mail \((.*?)\)</td>', sent)) == [
        "boss@example.com",
        "each failing user&#x27;s manager",
        "this user",
    ]


def user_page(user, role="Viewer"):
    return " ".join(text(client_of(role).get(f"/users/{user.pk}/")).split())


def test_the_page_says_why_each_check_fails_and_leads_to_the_same_user_there():
    failing_run("ann@example.com", "zoe@example.com")
    ann = User.objects.get(name="ann@example.com")
    page = user_page(ann)
    failing = page[page.index('id="failing"') : page.index('id="profile"')]
    assert "<dt>Sources without MFA</dt><dd>Okta</dd>" in failing
    assert "Nobody was notified about this." in failing
    link = re.search(r'href="(/checks/no-mfa/\?[^"]*)"', failing)
    assert link
    check = text(client_of("Operator").get(link[1]))
    assert "ann@example.com" in check
    assert "zoe@example.com" not in check


def test_a_failing_check_names_who_was_notified_and_shows_the_text_as_it_was_read():
    run = failing_run("ann@example.com")
    ann, no_mfa = User.objects.get(), Check.objects.get(slug="no-mfa")
    event = Event.objects.create(origin="people", run=run, check_ref=no_mfa, created_at=timezone.now())
    other = Event.objects.create(origin="people", run=run, created_at=timezone.now())
    sent = delivered(
        webhook("chat"),
        event=event,
        audience="user",
        recipient=ann,
        finding=ann.findings.get(),
        body=b'{"text": "Please set up a second step."}',
    )
    delivered(webhook("elsewhere"), event=other, audience="user", recipient=ann)
    page = user_page(ann)
    failing = page[page.index('id="failing"') : page.index('id="profile"')]
    assert f'<a class="c-link" href="/deliveries/{sent.pk}/">chat (ann@example.com)</a>' in failing
    assert "elsewhere" not in failing
    dialog = text(client_of("Operator").get(f"/deliveries/{sent.pk}/message", headers=HTMX))
    assert "Please set up a second step.</pre>" in dialog
    assert f'href="/deliveries/{sent.pk}/"' in dialog


def test_a_message_whose_content_was_removed_says_so():
    gone = delivered(webhook(), body=None)
    dialog = text(client_of("Viewer").get(f"/deliveries/{gone.pk}/message", headers=HTMX))
    assert "The content was removed after the retention period" in dialog


def test_the_timeline_tells_found_notified_reminded_and_cured_with_the_newest_first():
    run = failing_run("ann@example.com")
    ann, finding = User.objects.get(), Finding.objects.get()
    start = timezone.now() - timedelta(days=9)
    mail = webhook("mail")
    Finding.objects.update(opened_at=start, resolved_at=start + timedelta(days=4), resolution="cured")
    for day in (1, 2):
        event = Event.objects.create(origin="people", run=run, created_at=start)
        at = start + timedelta(days=day)
        delivered(
            mail, event=event, audience="user", recipient=ann, finding=finding, created_at=at, delivered_at=at
        )
    exclude_user(Check.objects.get(slug="no-mfa"), ann, reason="Token on order")
    page = user_page(ann)
    line = page[page.index('class="c-timeline"') :].partition("</ol>")[0]
    assert re.findall(r'c-name"[^>]*>(.*?)</', line) == [
        "Excluded from No MFA Configured permanently",
        "Cured: No MFA Configured",
        "Reminder to mail (this user)",
        "Message to mail (this user)",
        "Failed No MFA Configured",
        "The first account was created",
    ]


def test_a_message_about_another_finding_is_no_reminder():
    failing_run("ann@example.com", slugs=("no-mfa", "no-manager"), manager_given=False, internal=True)
    ann, mail = User.objects.get(), webhook("mail")
    for finding in ann.findings.all():
        event = Event.objects.create(origin="people", created_at=timezone.now())
        delivered(mail, event=event, audience="user", recipient=ann, finding=finding)
    assert ann.findings.count() == 2
    assert "Reminder" not in user_page(ann)


def test_why_the_accounts_are_one_user_and_when_each_was_read():
    ann = fail("ann@example.com")
    Account.objects.update(join_reason="first", joined_at=timezone.now())
    assert "Why these accounts are one user" not in user_page(ann)
    entra = Source.objects.create(slug="entra", name="Entra")
    Account.objects.create(
        source=entra, user=ann, login="ann", login_key="ann", email="ann@example.com", join_reason="email"
    )
    read_at = timezone.now() - timedelta(days=40)
    SourceFreshness.objects.create(source=entra, group="profile", as_of=read_at)
    SourceFreshness.objects.create(source=entra, group="factors", as_of=timezone.now())
    page = " ".join(text(client_of("Operator").get(f"/users/{ann.pk}/")).split())
    assert "The user was created for this account" in page
    assert "Same e-mail: ann@example.com" in page
    ages = page[page.index('<th scope="row">Last read</th>') :].partition("</tr>")[0]
    assert "not recorded" in ages
    assert "Profile" in ages
    assert "1 month ago" in ages


# Facts of a user who fails no-mfa, and what an evaluation now says of that check and of the next run.
NOW = [
    ({}, "Fails", "no change"),
    ({"no_mfa_since": None}, "Passes", "closes the finding"),
    ({"no_mfa_since": None, "mfa_unknown_since": LONG_AGO}, "Could not evaluate", "closes the finding"),
    ({"nhi": True}, "Out of scope", "closes the finding"),
    ({"protected": False}, "Out of scope", "closes the finding"),
]


@pytest.mark.parametrize(("facts", "result", "next_run"), NOW)
def test_evaluate_now_says_what_each_check_finds_and_what_the_next_run_changes(facts, result, next_run):
    failing_run("ann@example.com")
    User.objects.update(**facts)
    ann = User.objects.get()
    page = " ".join(text(client_of("Viewer").get(f"/users/{ann.pk}/evaluate", headers=HTMX)).split())
    row = page[page.index("No MFA Configured</a>") :].partition("</tr>")[0]
    assert f">{result}</span>" in row
    assert next_run in row
    assert Finding.objects.filter(resolved_at=None).count() == 1, "evaluating writes nothing"
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa"])
    closed = Finding.objects.filter(resolved_at__isnull=False).count()
    assert closed == (next_run == "closes the finding"), "the next run does what was said"


def test_evaluate_now_tells_new_failures_excluded_and_old_values():
    check_of()
    ann = fail("ann@example.com")
    client = client_of("Operator")

    def row() -> str:
        page = " ".join(text(client.get(f"/users/{ann.pk}/evaluate", headers=HTMX)).split())
        return page[page.index("No MFA Configured</a>") :].partition("</tr>")[0]

    assert "opens a finding" in row()
    source = Source.objects.get()
    SourceFreshness.objects.create(source=source, group="factors", as_of=LONG_AGO, max_age_days=30)
    assert "Values too old" in row()
    assert "Too old: MFA factors" in row()
    assert "no change" in row()
    exclude_user(check_of(), ann, reason="x")
    assert ">Excluded</span>" in row()
    assert "no change" in row()


def test_evaluate_now_says_which_source_lacks_what():
    failing_run("ann@example.com")
    User.objects.update(no_mfa_since=None, mfa_unknown_since=LONG_AGO)
    Account.objects.update(mfa=None, mfa_enabled=None)
    page = text(client_of("Viewer").get(f"/users/{User.objects.get().pk}/evaluate", headers=HTMX))
    assert "Okta does not say whether there is MFA" in page


def test_a_check_that_the_database_refuses_is_named_and_hides_no_other(monkeypatch):
    failing_run("ann@example.com")
    broken = Q(created_at__lt=RawSQL("no_such_function(1)", ()))
    monkeypatch.setattr(CATALOGUE["inactive-user"], "fails", lambda *_: broken)
    page = text(client_of("Viewer").get(f"/users/{User.objects.get().pk}/evaluate", headers=HTMX))
    assert "Check is broken" in page
    assert ">Fails</span>" in page


def test_the_page_and_the_evaluation_take_few_queries_however_much_a_user_fails():
    failing_run("ann@example.com", slugs=("no-mfa", "no-manager"), manager_given=False, internal=True)
    ann, client = User.objects.get(), client_of("Operator")
    run = Run.objects.get()
    others = Check.objects.exclude(slug__in=("no-mfa", "no-manager"))
    Finding.objects.bulk_create(
        Finding(check_ref=check, user=ann, opened_at=timezone.now(), opened_run=run) for check in others
    )
    assert ann.findings.count() > 20
    assert queries(client, f"/users/{ann.pk}/") <= 20
    assert queries(client, f"/users/{ann.pk}/evaluate") <= 20


def test_a_user_is_excluded_from_their_page_and_stays_there():
    failing_run("ann@example.com")
    ann, client = User.objects.get(), client_of("Operator")
    address = f"/checks/no-mfa/exclude/{ann.pk}"
    dialog = text(client.get(f"{address}?back=user", headers=HTMX))
    assert 'name="back" value="user"' in dialog
    answer = client.post(address, {"reason": "Token on order", "period": "30", "back": "user"}, headers=HTMX)
    assert answer["HX-Redirect"] == f"/users/{ann.pk}/"
    assert timedelta(days=30) <= Exclusion.objects.get().until - timezone.now() <= timedelta(days=31)
    page = text(client.get(f"/users/{ann.pk}/"))
    assert "Excluded from the next run on" in page
    assert "Token on order" in page


def test_a_user_is_excluded_from_several_checks_before_any_fails():
    check_of()
    ann, client = fail("ann@example.com"), client_of("Operator")
    address = f"/users/{ann.pk}/exclude"
    assert "Choose a check." in text(client.post(address, {"reason": "x"}, headers=HTMX))
    chosen = {"checks": ["no-mfa", "no-manager"], "reason": "Break-glass account", "period": ""}
    answer = client.post(address, chosen, headers=HTMX)
    assert answer["HX-Redirect"] == f"/users/{ann.pk}/"
    assert list(Exclusion.objects.values_list("reason", "until").distinct()) == [
        ("Break-glass account", None)
    ]
    assert Exclusion.objects.count() == 2
    assert 'value="no-mfa"' not in text(client.get(address, headers=HTMX)), "excluded already"
    assert client_of("Viewer").post(address, chosen).status_code == 403


def test_a_user_without_accounts_and_findings_has_a_page_too():
    user = User.objects.create(name="ghost")
    page = text(client_of("Viewer").get(f"/users/{user.pk}/"))
    assert "No account is left" in page
    assert "Fails no check" in page


def test_an_account_is_linked_to_another_user_and_unlinked_again_on_record():
    ann, bob = fail("ann@example.com"), fail("bob@example.com")
    moved = bob.accounts.get()
    client = client_of("Operator")
    dialog = text(client.get(f"/users/{ann.pk}/link/?q=BO", headers=HTMX))
    assert f'value="{moved.pk}"' in dialog
    client.post(f"/users/{ann.pk}/link/", {"account": moved.pk}, headers=HTMX)
    moved.refresh_from_db()
    assert (moved.user, moved.join_reason) == (ann, "member")
    client.post(f"/users/{ann.pk}/accounts/{moved.pk}/unlink/", headers=HTMX)
    moved.refresh_from_db()
    assert moved.user != ann
    assert [entry.split(" ")[0] for entry in said()] == ["Linked", "Unlinked"]


def test_linking_without_a_choice_says_so():
    ann = fail("ann@example.com")
    answer = client_of("Operator").post(f"/users/{ann.pk}/link/", {}, headers=HTMX)
    assert "Choose an account first." in answer["HX-Trigger"]


def test_a_viewer_links_nothing():
    ann = fail("ann@example.com")
    client = client_of("Viewer")
    assert "Link another account" not in text(client.get(f"/users/{ann.pk}/"))
    assert client.post(f"/users/{ann.pk}/link/", {"account": ann.accounts.get().pk}).status_code == 403
