"""Users in the browser: searching, filters kept by name, one user's page, linking by hand."""

import re
from urllib.parse import quote

import pytest
from django.utils import timezone

from checks import searching
from checks.models import Account, Check, Source, User
from checks.services import exclude_user
from cii_project.console.users_accounts import factors_of, people_named, side_by_side
from cii_project.models import SavedFilter
from notifications import mentions
from notifications.models import Event
from tests.console.checks_world import HTMX, beside, client_of, delivered, fail, judged, said, text, webhook

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
    monkeypatch.setattr(searching, "MOST", 3)
    for number in range(9):
        fail(f"Ann{number}@example.com")
        fail(f"zoe{number}@example.com", display_name=f"Ann {number}")
    assert names("q=ann") == [*(f"Ann{n}@example.com" for n in range(9)), *(f"Ann {n}" for n in range(3))]
    page = text(client_of("Operator").get("/users/?q=ann"))
    assert "of the others the first 3" in page
    assert "of the others" not in text(client_of("Engineer").get("/users/?q=ann1"))


def test_the_pages_of_a_search_join_without_a_gap_whatever_part_a_user_comes_from(monkeypatch):
    monkeypatch.setattr(searching, "MOST", 80)
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
        ("flag=nonsense&status=guest&type=active", None),
        ("source=hr", []),
    ],
)
def test_the_filters_narrow_the_list_and_what_makes_no_sense_is_dropped(query, wanted):
    fail("suspended@example.com", status="suspended")
    fail("guest@example.com", user_type="guest", guest=True)
    fail("admin@example.com", admin=True)
    fail("robot@example.com", nhi=True)
    fail("gone@example.com", protected=False)
    assert names(query) == (sorted(User.objects.values_list("name", flat=True)) if wanted is None else wanted)


def test_the_list_shows_who_fails_a_check_and_how_many_each_fails():
    judged("ann@example.com")
    fail("bob@example.com")
    assert names("check=no-mfa") == ["ann@example.com"]
    page = text(client_of("Operator").get("/users/?q=ann"))
    assert '<strong class="c-bad">1</strong>' in page


@pytest.mark.parametrize("few", [0, 5000])
def test_who_fails_a_check_is_paged_by_name_whether_many_or_few_do(monkeypatch, few):
    monkeypatch.setattr("cii_project.console.paging.FEW", few)
    all_names = [f"{letter}{number:02}@example.com" for number in range(40) for letter in "Aé_z"]
    judged(*all_names)
    client = client_of("Viewer")
    in_order = list(User.objects.order_by("name").values_list("name", flat=True))
    for address, wanted in (
        ("/users/?check=no-mfa", in_order),
        ("/checks/no-mfa/?sort=name", in_order),
        ("/checks/no-mfa/?sort=-name", in_order[::-1]),
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


def test_nobody_matching_and_nobody_at_all_are_told_apart():
    client = client_of("Operator")
    assert "No users yet" in text(client.get("/users/"))
    assert "Nobody matches" in text(client.get("/users/?q=zoe"))


def test_a_filter_is_kept_by_name_for_its_person_alone():
    client = client_of("Viewer")
    dialog = text(client.get("/users/filters/save/?flag=admin&page=x&evil=1", headers=HTMX))
    assert 'value="flag=admin"' in dialog
    answer = client.post("/users/filters/save/", {"name": "Admins", "query": "flag=admin"}, headers=HTMX)
    assert answer["HX-Redirect"] == "/users/?flag=admin"
    client.post("/users/filters/save/", {"name": "Admins", "query": "flag=nhi"}, headers=HTMX)
    assert SavedFilter.objects.get().query == "flag=nhi"
    assert "Admins" in text(client.get("/users/"))
    other = client_of("Operator")
    assert "Admins" not in text(other.get("/users/"))
    assert other.post(f"/users/filters/{SavedFilter.objects.get().pk}/delete/").status_code == 404
    client.post(f"/users/filters/{SavedFilter.objects.get().pk}/delete/")
    assert not SavedFilter.objects.exists()


def test_a_filter_without_a_name_is_refused_in_the_dialog():
    answer = client_of("Viewer").post("/users/filters/save/", {"name": "", "query": "q=a"}, headers=HTMX)
    assert answer.status_code == 200
    assert "This field is required." in beside(text(answer), "name")


# --- One user ------------------------------------------------------------------------------------------
def account(slug, **values):
    source, _ = Source.objects.get_or_create(slug=slug, defaults={"name": slug.title()})
    return Account(source=source, login="ann", login_key="ann", **values)


def test_sources_that_differ_are_marked_and_what_nobody_says_is_left_out():
    lines = side_by_side(
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
    people = people_named([by_mail, by_number, another])
    assert [
        line.differs for line in side_by_side([by_mail, by_number], people) if line.label == "Manager"
    ] == [False]
    assert [line.differs for line in side_by_side([by_mail, another], people) if line.label == "Manager"] == [
        True
    ]


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


def test_none_and_unknown_are_told_apart():
    found = {
        line.label: line.values for line in side_by_side([account("a", manager=""), account("b", groups=[])])
    }
    assert found["Manager"] == ["", None]
    assert found["Groups"] == [None, ""]


def test_factors_carry_their_assurance():
    one = account(
        "okta", mfa_factors=[{"kind": "sms"}, {"kind": "webauthn", "status": "inactive"}, {"kind": "odd"}]
    )
    assert [(f.kind, f.assurance, f.active) for f in factors_of(one) or []] == [
        ("sms", "Low", True),
        ("webauthn", "High", False),
        ("odd", "Unknown", True),
    ]
    assert factors_of(account("okta")) is None


def test_the_page_tells_what_fails_what_was_excluded_and_what_was_sent():
    run = judged("ann@example.com")
    user = User.objects.get()
    exclude_user(Check.objects.get(slug="mfa-bypass"), user, reason="Token on order")
    event = Event.objects.create(
        origin="run", run=run, check_ref=Check.objects.get(slug="no-mfa"), created_at=timezone.now()
    )
    soar = webhook("soar")
    finding = user.findings.get(check_ref=event.check_ref)
    delivered(soar, event=event, batches=2, about=mentions.of([finding.pk + 1]))
    delivered(soar, event=event, batch=2, batches=2, about=mentions.of([finding.pk]))
    delivered(webhook("siem"), event=event)
    page = " ".join(text(client_of("Viewer").get(f"/users/{user.pk}/")).split())
    assert "No MFA Configured" in page
    assert "Token on order" in page
    assert "(batch 2 of 2)" in page
    assert "(batch 1 of 2)" not in page
    assert "soar" in page
    assert "siem" not in page


def test_the_page_names_whom_a_message_about_the_user_went_to():
    run = judged("ann@example.com")
    ann = User.objects.get()
    boss = User.objects.create(name="boss@example.com")
    User.objects.update(manager=boss)
    finding = ann.findings.first()
    event = Event.objects.create(
        origin="run", run=run, check_ref=finding.check_ref, created_at=timezone.now()
    )
    mail = webhook("mail")
    delivered(mail, event=event, audience="user", recipient=ann, finding=finding)
    # Who fails and has reports gets one letter, kept as one to a failing user.
    delivered(mail, event=event, audience="user", batch=2, recipient=boss, about=mentions.of([finding.pk]))
    delivered(mail, event=event, audience="manager", recipient=None, finding=finding)
    page = " ".join(text(client_of("Viewer").get(f"/users/{ann.pk}/")).split())
    sent = page[page.index("What was sent about this user") :]
    assert sorted(re.findall(r"mail <span class=\"text-subtle\">\((.*?)\)", sent)) == [
        "boss@example.com",
        "each failing user&#x27;s manager",
        "this user",
    ]


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
    assert (moved.user, moved.linked_by_hand) == (ann, True)
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
