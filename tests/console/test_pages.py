"""What holds for every page: roles, sign-in, the content policy, hostile names, no stored secret, few queries."""

import re

import pytest
from django.test import Client, RequestFactory
from django.views.defaults import server_error

from checks.models import Check, User
from cii_project import __version__
from cii_project.console.core.paging import KeysetPage
from notifications.services import subscribe
from tests.console.checks_world import (
    HTMX,
    attempted,
    check_of,
    client_of,
    delivered,
    failing_run,
    person,
    queries,
    text,
    webhook,
)

pytestmark = pytest.mark.django_db
HOSTILE = '<script>alert("1")</script>@example.com'
SECRETS = ("s3cret-pass", "hush-hush")
READ = ["/", "/integrations/", "/integrations/sources/", "/users/", "/settings/", "/settings/population/"]
SHAPE = ["/integrations/add/", "/integrations/add/webhook/", "/integrations/add/slack/"]


@pytest.fixture
def world():
    """An installation with a hostile user, a webhook full of secrets, a dead letter and an exclusion."""
    run = failing_run(HOSTILE, display_name="<b>Bold</b>")
    integration = webhook(
        name="<i>soar</i>",
        parameters={"header": {"X-Key": {"value": "hush-hush", "secret": True}}, "query": {}, "body": {}},
    )
    subscribe(Check.objects.get(slug="no-mfa"), integration)
    delivery = delivered(
        integration, state="dead", status_code=404, reason="The receiver answered 404 Not Found."
    )
    attempted(delivery)
    return {"run": run, "integration": integration, "user": User.objects.get()}


def pages(world):
    one = f"/integrations/{world['integration'].pk}/"
    return [*READ, *SHAPE, one, f"{one}edit/", f"/users/{world['user'].pk}/"]


def test_every_page_opens_for_an_engineer(world):
    client = client_of("Engineer")
    assert {page: client.get(page).status_code for page in pages(world)} == dict.fromkeys(pages(world), 200)


def test_a_viewer_reads_but_opens_no_form_of_an_integration(world):
    client = client_of("Viewer")
    edit = f"/integrations/{world['integration'].pk}/edit/"
    wanted = {page: 403 if page in [*SHAPE, edit] else 200 for page in pages(world)}
    assert {page: client.get(page).status_code for page in pages(world)} == wanted


def test_a_page_that_a_role_may_not_open_says_which_role_it_needs_and_offers_nothing(world):
    page = text(client_of("Viewer").get("/integrations/add/"))
    assert "This needs the role Engineer" in page
    assert "Your role is Viewer" in page
    assert "/integrations/add/webhook/" not in page


def test_a_member_without_a_role_sees_that_the_role_is_missing():
    answer = client_of("").get("/")
    assert answer.status_code == 403
    assert "You have no role yet" in text(answer)


def test_nobody_comes_in_without_signing_in(world):
    for page in pages(world):
        answer = Client().get(page)
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={page}")


def test_a_part_of_a_page_that_is_asked_for_after_the_session_ended_leads_to_the_sign_in():
    """And from there back to the page that the part was on, never to the part."""
    at = {**HTMX, "HX-Current-URL": "http://testserver/users/?flag=admin#top"}
    for ask in (Client().get, Client().post):
        answer = ask("/filters/users/save", headers=at)
        back = "/admin/login/?next=/users/%3Fflag%3Dadmin"
        assert (answer.status_code, answer["HX-Redirect"]) == (401, back)


@pytest.mark.parametrize(
    "origin", ["", "https://evil.example/users/", "//evil.example/", "javascript:alert(1)"]
)
def test_a_foreign_page_is_not_led_back_to(origin):
    answer = Client().post("/filters/users/save", headers={**HTMX, "HX-Current-URL": origin})
    assert answer["HX-Redirect"] == "/admin/login/?next=/"


def test_a_form_that_is_sent_after_the_session_ended_leads_back_to_its_page(world):
    action = f"/integrations/{world['integration'].pk}/pause/"
    page = f"/integrations/{world['integration'].pk}/"
    answer = Client().post(action, headers={"Referer": f"http://testserver{page}"})
    assert answer["Location"] == f"/admin/login/?next={page}"


def test_the_page_that_a_browser_goes_back_to_is_a_whole_one(world):
    """htmx asks for it as a part, with a header that says why."""
    back = {**HTMX, "HX-History-Restore-Request": "true"}
    assert "<html" in text(client_of("Viewer").get("/users/", headers=back))


ACTIONS = {
    "Viewer": ["pause/", "resume/", "test/", "checks/", "edit/", "rotate/", "delete/"],
    "Operator": ["edit/", "rotate/", "delete/"],
}


@pytest.mark.parametrize(("role", "action"), [(r, a) for r, actions in ACTIONS.items() for a in actions])
def test_an_action_beyond_the_role_is_refused(world, role, action):
    answer = client_of(role).post(f"/integrations/{world['integration'].pk}/{action}", headers=HTMX)
    assert answer.status_code == 403
    assert "This needs the role" in answer["HX-Trigger"]


def test_a_viewer_is_offered_no_action(world):
    client = client_of("Viewer")
    for page in (
        "/integrations/",
        f"/integrations/{world['integration'].pk}/",
        "/settings/",
        "/integrations/sources/",
    ):
        body = text(client.get(page))
        assert "hx-post" not in body
        assert 'type="submit" class="c-button c-button-primary' not in body


def test_no_stored_secret_is_on_any_page(world):
    client = client_of("Engineer")
    for page in pages(world):
        body = text(client.get(page))
        assert not [secret for secret in SECRETS if secret in body], page
        assert world["integration"].sealed not in body
        assert "whsec_" not in body.replace("whsec_…", ""), page


def test_a_name_that_is_markup_stays_text(world):
    client = client_of("Engineer")
    for page in pages(world):
        body = text(client.get(page))
        assert "<script>alert" not in body, page
        assert "<b>Bold</b>" not in body, page
        assert "<i>soar</i>" not in body, page
    assert "&lt;script&gt;alert" in text(client.get("/users/"))


def test_every_page_forbids_foreign_and_inline_scripts(world):
    client = client_of("Engineer")
    for page in [*pages(world), "/admin/", "/admin/login/"]:
        answer = client.get(page)
        policy = answer["Content-Security-Policy"]
        scripts = re.search(r"script-src ([^;]*)", policy)
        assert scripts is not None
        assert scripts[1] == "'self'"
        assert "default-src 'none'" in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text(answer)), page
        assert not re.search(r"\son(click|change|load|error|submit)=", text(answer)), page
        assert not re.search(r'(src|href)="(https?:)?//', text(answer)), page


@pytest.mark.parametrize("role", ["Viewer", "Engineer"])
def test_no_page_takes_more_than_twenty_queries(world, role):
    client = client_of(role)
    for number in range(12):
        one = webhook(f"target {number}")
        for check in Check.objects.all()[:10]:
            subscribe(check, one)
        delivered(one)
    failing_run(*(f"user{number}@example.com" for number in range(12)))
    for page in pages(world):
        if client.get(page).status_code == 200:
            taken = queries(client, page)
            assert taken <= 20, f"{page}: {taken} queries"


def test_every_page_opens_on_an_empty_installation():
    client = client_of("Engineer")
    for page in [*READ, *SHAPE]:
        assert client.get(page).status_code == 200, page


def test_the_sign_in_page_shows_what_was_wrong_and_where_to_go_on():
    answer = Client().post(
        "/admin/login/?next=/users/", {"username": "ann", "password": "wrong", "next": "/users/"}
    )
    assert "The username or the password is wrong" in text(answer)
    assert 'name="next" value="/users/"' in text(answer)


# --- Pages by key --------------------------------------------------------------------------------------
def walk(order, size=3):
    """All rows by following ``next``, then all by following ``previous`` from the last page."""
    page = KeysetPage.of(User.objects.all(), order=order, cursor="", size=size)
    forwards, pages = [], [page]
    while True:
        forwards += [row.pk for row in page.rows]
        if not page.next:
            break
        page = KeysetPage.of(User.objects.all(), order=order, cursor=page.next, size=size)
        pages.append(page)
    backwards = []
    while True:
        backwards = [row.pk for row in page.rows] + backwards
        if not page.previous:
            break
        page = KeysetPage.of(User.objects.all(), order=order, cursor=page.previous, size=size)
    return forwards, backwards, pages


@pytest.mark.parametrize("order", [("name", "id"), ("-name", "-id"), ("-id",), ("no_mfa_since", "id")])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 11])
def test_pages_by_key_show_every_row_once_in_both_directions(order, count):
    from datetime import UTC, datetime

    User.objects.bulk_create(
        User(name=f"n{number % 3}", no_mfa_since=datetime(2026, 1, 1 + number % 2, tzinfo=UTC))
        for number in range(count)
    )
    wanted = list(User.objects.order_by(*order).values_list("pk", flat=True))
    forwards, backwards, found = walk(order)
    assert forwards == wanted
    assert backwards == wanted
    assert found[0].previous == ""
    assert found[-1].next == ""


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "é", "bnVsbA", "WzEsMiwzLDQsNV0", "W2ZhbHNlLCJcdTAwMDAiLCIxIl0"]
)
def test_a_cursor_that_makes_no_sense_is_the_first_page(cursor):
    failing_run("ann@example.com")
    page = KeysetPage.of(User.objects.all(), order=("name", "id"), cursor=cursor)
    assert [row.name for row in page.rows] == ["ann@example.com"]
    assert client_of("Viewer").get("/users/", {"page": cursor}).status_code == 200


# --- What stands alone ----------------------------------------------------------------------------------
def test_what_stands_nowhere_is_answered_in_words():
    answer = client_of("Viewer").get("/checks/no-such-check/")
    assert answer.status_code == 404
    assert "This page does not exist" in text(answer)
    assert "no-such-check" not in text(answer)


FRAME = 'id="c-main"'


@pytest.mark.parametrize(
    "address", ["/checks/no-such-check/", "/nothing/", "/users/999999/", "/admin/no/such/"]
)
def test_a_page_that_does_not_exist_keeps_the_frame_for_a_member(address):
    answer = client_of("Viewer").get(address)
    assert answer.status_code == 404
    assert FRAME in text(answer)
    assert "This page does not exist" in text(answer)


def test_a_page_that_does_not_exist_stands_alone_for_everybody_else():
    for client in (Client(), client_of("")):
        answer = client.get("/nothing/")
        assert answer.status_code == 404
        assert FRAME not in text(answer)
        assert "This page does not exist" in text(answer)


def test_a_stale_form_of_a_member_keeps_the_frame_and_speaks_of_what_to_do():
    check_of()
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("Engineer"))
    answer = client.post("/checks/no-mfa/settings", {"severity": "low"})
    assert answer.status_code == 403
    assert FRAME in text(answer)
    assert "This form was not accepted" in text(answer)
    assert "go back, reload the page and send it again" in text(answer)
    assert Check.objects.get(slug="no-mfa").severity == "critical"
    part = client.post("/checks/no-mfa/settings", {"severity": "low"}, headers=HTMX)
    assert part.status_code == 403
    assert FRAME not in text(part), "a part of a page is not answered with a whole one"


# Address → the beginning of its title: the thing first.
TITLES = {
    "/checks/no-mfa/": "No MFA Configured · Checks · Identity checks",
    "/checks/no-mfa/settings": "No MFA Configured · Checks · Identity checks",
    "/users/": "Users · Identity checks",
    "/nothing/": "This page does not exist · Identity checks",
}


@pytest.mark.parametrize(("address", "title"), TITLES.items())
def test_a_title_names_the_thing_first(address, title):
    check_of()
    (found,) = re.findall(r"<title>(.*?)</title>", text(client_of("Viewer").get(address)), re.S)
    assert found.strip() == title


def test_the_foot_of_each_page_names_the_version_the_licence_and_the_documentation():
    page = text(client_of("Viewer").get("/users/"))
    foot = page[page.index("<footer") :]
    assert f"Identity checks {__version__}" in foot
    assert "Apache License 2.0" in foot
    assert 'href="/docs/"' in foot


def test_without_javascript_a_sentence_says_what_is_needed():
    page = text(client_of("Viewer").get("/users/"))
    assert "<noscript><style>[x-cloak] { display: block !important; }" in page, "else the page stays white"
    assert "JavaScript is off." in page
    assert "<noscript><style>[x-cloak]" in text(Client().get("/admin/login/"))


def test_a_form_from_a_stale_page_is_refused_with_what_to_do():
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a", "password": "b"})
    assert answer.status_code == 403
    assert "reload the page and send it again" in text(answer)


def test_an_error_of_ours_says_so_without_a_context():
    answer = server_error(RequestFactory().get("/"))
    assert answer.status_code == 500
    assert "Something went wrong" in text(answer)
