"""Chromium on real servers: no page, form or dialog keeps anybody out, whatever the theme, the width or the hand."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import Resolver404, resolve
from playwright.sync_api import Browser, Page, expect

from cii_project.console.integrations.webhook_form import WEBHOOK_CARDS
from cii_project.urls import console
from integrations.sources import SOURCE_KINDS
from integrations.targets import KINDS
from tests.console.browser_world import PASSWORD, Installation, create_webhook, hold_messages
from tests.console.conftest import DESKTOP, PHONE, ZOOMED, Opened

pytestmark = pytest.mark.browser

PAGES = {
    "dashboard": "/",
    "checks": "/checks/",
    "checks, none found": "/checks/?search=nothing-like-this",
    "check": "/checks/no-mfa/",
    "check, nobody failing": "/checks/mfa-bypass/",
    "check, long names": "/checks/no-manager/",
    "settings of a check": "/checks/no-mfa/settings",
    "settings with a list": "/checks/hr-mismatch/settings",
    "exclusions": "/checks/no-mfa/exclusions",
    "history": "/checks/no-mfa/history",
    "messages": "/checks/no-mfa/messages",
    "runs": "/runs/",
    "deliveries": "/deliveries/",
    "held messages": "/deliveries/held/",
    "integrations": "/integrations/",
    "gallery": "/integrations/add/",
    **{
        f"form: {slug}": f"/integrations/add/{slug}/"
        for slug in [*KINDS, *(card.slug for card in WEBHOOK_CARDS)]
    },
    "data sources": "/integrations/sources/",
    "users": "/users/",
    "users, none found": "/users/?q=nobody-is-called-this",
    "imports": "/integrations/imports/",
    "syncs": "/integrations/syncs/",
    "joining": "/joining/",
    "preferences": "/preferences/",
    "score": "/score/",
    "settings": "/settings/",
    "report": "/report/?days=7",
    "search": "/search/?q=kim",
    "add a source": "/integrations/add-source/",
    **{f"connect: {slug}": f"/integrations/add-source/{slug}/" for slug in SOURCE_KINDS},
    "documentation": "/docs/",
    "guide": "/docs/checks/",
    "guide with a picture": "/docs/security/",
}
RECORDS = {
    "records": "/admin/",
    "a new person": "/admin/auth/user/add/",
    "password": "/admin/password_change/",
}


@pytest.fixture(scope="module", autouse=True)
def _something_to_see(request: pytest.FixtureRequest) -> None:
    """A target that is enabled, a run, a test and a message about each user who fails, so that no list is empty.

    The message is sent whatever ran before: a run of another file may have found the users before the target was enabled.
    """
    world: Installation = request.getfixturevalue("world")
    chromium, cookies = request.getfixturevalue("chromium"), request.getfixturevalue("cookies")
    context = chromium.new_context(base_url=world.url)
    context.add_cookies(cookies)
    page = context.new_page()
    create_webhook(page, world, "To look at", "/basic", "basic")
    page.get_by_role("button", name="Test connectivity").click()
    expect(page.locator("#test-result")).to_contain_text("200")
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name=re.compile("Targets")).click()
    page.get_by_role("checkbox", name=re.compile("^To look at")).check()
    expect(page.get_by_text("To look at is enabled on this check.").first).to_be_visible()
    world.manage("run_checks")
    open_send_current(page)
    page.get_by_role("dialog").get_by_role("button", name=re.compile(r"^Send \d+ users?$")).click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    hold_messages(world)
    context.close()


def violations(page: Page) -> list[str]:
    """axe-core's findings that keep people out: rule, impact and the elements."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def detail_pages(page: Page) -> dict[str, str]:
    """The pages of one thing, as the lists link to them."""
    found = {}
    for name, listing, pattern in (
        ("run", "/runs/", r"/runs/[0-9a-f-]{36}/"),
        ("delivery", "/deliveries/", r"/deliveries/[0-9a-f-]{36}/"),
        ("hold", "/deliveries/held/", r"/deliveries/held/\d+/"),
        ("integration", "/integrations/", r"/integrations/\d+/"),
        ("source", "/integrations/sources/", r"/integrations/sources/[\w-]+/"),
        ("import", "/integrations/sources/okta/", r"/integrations/imports/\d+/"),
        ("user", "/users/?check=no-mfa", r"/users/\d+/"),
        ("user, long names", "/users/?check=no-manager", r"/users/\d+/"),
    ):
        page.goto(listing)
        match = re.search(f'href="({pattern})"', page.content())
        assert match, f"{listing} links to nothing"
        found[name] = match[1]
    found["edit"] = f"{found['integration']}edit/"
    return found


def pages_of_records(page: Page) -> dict[str, str]:
    """Every list of the operators' records, and the first record of each."""
    page.goto("/admin/")
    lists = sorted(set(re.findall(r'href="(/admin/\w+/\w+/)"', page.content())))
    found = {url: url for url in lists}
    for url in lists:
        page.goto(url)
        if first := re.search(rf'href="({url}[^"/]+/change/)', page.content()):
            found[first[1]] = first[1]
    return found


def name_of(url: str) -> str:
    """The name of the address in the URL conf; empty where it is none of it."""
    try:
        return resolve(urlsplit(url).path).view_name
    except Resolver404:
        return ""


def open_menu(page: Page) -> None:
    page.goto("/integrations/")
    page.get_by_role("button", name="Actions for To look at").click()


def open_targets(page: Page) -> None:
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name=re.compile("Targets")).click()


def open_send_current(page: Page) -> None:
    open_targets(page)
    page.get_by_role("button", name="Send current failures: To look at, the list of users").click()


def open_test(page: Page) -> None:
    open_menu(page)
    page.get_by_role("button", name="Test connectivity").click()


def open_link(page: Page) -> None:
    page.goto("/users/?check=no-mfa")
    page.locator("td a.c-name").first.click()
    page.get_by_role("button", name="Link another account…").click()


def open_from_user(button: str | re.Pattern[str]) -> Callable[[Page], None]:
    def open_dialog(page: Page) -> None:
        page.goto("/users/?check=no-mfa")
        page.locator("td a.c-name").first.click()
        page.get_by_role("button", name=button).first.click()

    return open_dialog


def open_removal(page: Page) -> None:
    """Of an exclusion that this makes, unless there is one."""
    page.goto("/checks/no-mfa/exclusions")
    remove = page.get_by_role("button", name=re.compile("^Remove the exclusion of"))
    if not remove.count():
        page.get_by_role("button", name="Exclude users…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Users").fill("rtl")
        dialog.get_by_label("Reason").fill("To look at")
        dialog.get_by_role("button", name="Exclude", exact=True).click()
    remove.first.click()


def open_selected_removal(page: Page) -> None:
    page.goto("/checks/no-mfa/exclusions")
    page.get_by_label("Select all users").check()
    page.get_by_role("button", name="Remove the selected…").click()


def open_bulk(page: Page) -> None:
    page.goto("/checks/")
    page.get_by_role("checkbox", name="Select all checks shown").check()
    bar = page.get_by_role("form", name="Change the selected checks")
    bar.get_by_label("What to do").select_option("disable")
    bar.get_by_role("button", name="Apply").click()


def evaluate_user(page: Page) -> None:
    page.goto("/users/?check=no-mfa")
    page.locator("td a.c-name").first.click()
    page.get_by_role("button", name="Evaluate now").click()
    expect(page.get_by_role("heading", name="Evaluated now")).to_be_visible()


def open_options(page: Page) -> None:
    open_targets(page)
    page.get_by_role("button", name=re.compile("^Filter and schedule: To look at, the list")).click()


def dialog_of(url: str, button: str | re.Pattern[str]) -> Callable[[Page], None]:
    def open_dialog(page: Page) -> None:
        page.goto(url)
        page.get_by_role("button", name=button).first.click()

    return open_dialog


def source_dialog(url: str, button: str) -> Callable[[Page], None]:
    def open_dialog(page: Page) -> None:
        page.goto(url)
        page.get_by_role("button", name="Actions").click()
        page.get_by_role("button", name=button).click()

    return open_dialog


def refused_form(page: Page) -> None:
    page.goto("/integrations/add/webhook/")
    page.get_by_role("button", name="Add integration").click()
    expect(page.get_by_role("alert")).to_be_visible()


def other_time(page: Page) -> None:
    page.goto("/settings/")
    with page.expect_response(re.compile("/next-runs/")):
        page.get_by_label("Daily run at").fill("07:30")
        page.keyboard.press("Tab")


ACTS = {
    "menu": open_menu,
    "targets": open_targets,
    "refused form": refused_form,
    "next runs": other_time,
    "evaluated": evaluate_user,
}
DIALOGS: dict[str, Callable[[Page], None]] = {
    "run": dialog_of("/checks/", "Run checks now"),
    "exclusion": dialog_of("/checks/no-mfa/", re.compile("^Exclude ")),
    "saved filter": dialog_of("/users/?q=k", re.compile("Save this filter")),
    "replay": dialog_of("/deliveries/", re.compile("Replay")),
    "report by e-mail": dialog_of("/report/?days=7", re.compile("E-mail")),
    "options": open_options,
    "send who fails now": open_send_current,
    "test": open_test,
    "link an account": open_link,
    "exclusion from the user's page": open_from_user(re.compile("^Exclude from")),
    "exclusion from several checks": open_from_user("Exclude…"),
    "text of a message": open_from_user(re.compile("^Read the message")),
    "several checks": open_bulk,
    "exclude users": dialog_of("/checks/no-mfa/exclusions", "Exclude users…"),
    "remove an exclusion": open_removal,
    "remove exclusions": open_selected_removal,
}
# Every address of ours that can be opened: a page, or what a dialog shows.
OPENABLE = {f"console:{one.name}" for one in console if hasattr(one.callback.view_class, "get")}
# Files, what a page asks for while a run goes on (test_browser.py), the steps of an import (test_browser_import.py), what
# only a source has that was read through its API (test_connected_sources.py), and the search of a menu with many targets
# (test_many_targets.py).
SEEN_ELSEWHERE = {
    f"console:{name}"
    for name in (
        "check-export",
        "check-targets",
        "docs-picture",
        "hold-export",
        "report-export",
        "import-rejected",
        "message-targets",
        "run-progress",
        "source-drop",
        "source-edit",
        "source-one-sync",
        "source-passes",
        "source-release",
        "source-rotate",
        "source-sample",
        "upload",
        "upload-progress",
    )
}
# What is wider than its room: the page, or a card that would cut it off.
SPILLED = """[document.documentElement, ...document.querySelectorAll(".c-card")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => `${one.tagName} ${one.className}: ${one.scrollWidth} in ${one.clientWidth}`)"""
OF_A_TARGET = {"checks": "Enable on checks…", "rotate": "Rotate signing secret…", "delete": "Delete…"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_keeps_anybody_out_or_leaves_the_origin(opened: Opened, theme: str):
    wrong: dict[str, list[str]] = {}
    seen: set[str] = set()
    with opened(DESKTOP, theme) as page:
        page.on("request", lambda request: seen.add(name_of(request.url)))
        details = detail_pages(page)
        for name, url in {**PAGES, **details, **RECORDS, **pages_of_records(page)}.items():
            page.goto(url)
            page.wait_for_load_state("networkidle")
            wrong[name] = violations(page)
        for name, act in ACTS.items():
            act(page)
            wrong[name] = violations(page)
        dialogs = DIALOGS | {
            name: dialog_of(details["integration"], words) for name, words in OF_A_TARGET.items()
        }
        dialogs |= {name: dialog_of(details["hold"], name) for name in ("Release…", "Drop…")}
        dialogs |= {
            f"source: {name}": source_dialog(details["source"], name) for name in ("Rename", "Delete")
        }
        for name, act in dialogs.items():
            act(page)
            page.get_by_role("dialog").wait_for()
            wrong[f"dialog: {name}"] = violations(page)
    assert {name: found for name, found in wrong.items() if found} == {}
    assert OPENABLE - seen - SEEN_ELSEWHERE == set()


@pytest.mark.parametrize(
    ("size", "theme"), [(PHONE, "light"), (PHONE, "dark"), (ZOOMED, "light"), (DESKTOP, "light")]
)
def test_every_page_fits_whatever_the_width_and_however_long_the_names(
    opened: Opened, size: dict, theme: str
):
    wide = {}
    with opened(size, theme) as page:
        for name, url in {**PAGES, **detail_pages(page)}.items():
            page.goto(url)
            if over := page.evaluate(SPILLED):
                wide[name] = over
    assert wide == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_has_the_menu_behind_a_button(opened: Opened, theme: str):
    with opened(PHONE, theme) as page:
        page.goto("/checks/")
        assert violations(page) == []
        page.get_by_role("button", name=re.compile("menu|navigation", re.I)).first.click()
        page.get_by_role("link", name="Users").first.click()
        expect(page.get_by_role("heading", name="Users", exact=True)).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sign_in_page_is_accessible_and_asks_nothing_of_others(opened: Opened, theme: str):
    with opened(DESKTOP, theme, signed_in=False) as page:
        page.goto("/checks/")
        assert violations(page) == []
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("The username or the password is wrong")).to_be_visible()
        assert violations(page) == []


def test_what_is_shown_instead_of_a_page_is_accessible_too(chromium: Browser, world: Installation):
    made = "from django.contrib.auth.models import Group, User\n"
    made += f"User.objects.create_user('looker', password='{PASSWORD}').groups.add(Group.objects.get(name='Viewer'))"
    world.manage("shell", "-c", made)
    context = chromium.new_context(base_url=world.url)
    page = context.new_page()
    page.goto("/checks/")
    page.get_by_label("Username").fill("looker")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Checks", exact=True)).to_be_visible()
    for url, said in (("/integrations/add/", "Engineer"), ("/nothing/", "This page does not exist")):
        page.goto(url)
        expect(page.locator("body")).to_contain_text(said)
        assert violations(page) == []
    context.close()
