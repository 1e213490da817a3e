"""Chromium on real servers: no page, form or dialog keeps anybody out, whatever the theme, the width or the hand."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.console.browser_world import Installation, create_webhook
from tests.console.conftest import DESKTOP, PHONE, Opened

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PAGES = {
    "dashboard": "/",
    "checks": "/checks/",
    "checks, none found": "/checks/?search=nothing-like-this",
    "check": "/checks/no-mfa/",
    "check, nobody failing": "/checks/mfa-bypass/",
    "settings of a check": "/checks/no-mfa/settings",
    "settings with a list": "/checks/hr-mismatch/settings",
    "exclusions": "/checks/no-mfa/exclusions",
    "history": "/checks/no-mfa/history",
    "messages": "/checks/no-mfa/messages",
    "runs": "/runs/",
    "deliveries": "/deliveries/",
    "integrations": "/integrations/",
    "gallery": "/integrations/add/",
    "webhook form": "/integrations/add/webhook/",
    "preset form": "/integrations/add/google-secops/",
    "slack form": "/integrations/add/slack/",
    "mail form": "/integrations/add/email/",
    "data sources": "/integrations/sources/",
    "users": "/users/",
    "users, none found": "/users/?q=nobody-is-called-this",
    "settings": "/settings/",
}
RECORDS = {
    "records": "/admin/",
    "records of users": "/admin/checks/user/",
    "records of deliveries": "/admin/notifications/delivery/",
    "people": "/admin/auth/user/",
}


@pytest.fixture(scope="module", autouse=True)
def _something_to_see(request: pytest.FixtureRequest) -> None:
    """A target that is ticked, a run and a test, so that no list is empty when this file runs alone."""
    world: Installation = request.getfixturevalue("world")
    chromium, cookies = request.getfixturevalue("chromium"), request.getfixturevalue("cookies")
    context = chromium.new_context(base_url=world.url)
    context.add_cookies(cookies)
    page = context.new_page()
    create_webhook(page, world, "To look at", "/basic", "basic")
    page.get_by_role("button", name="Test Connectivity").click()
    expect(page.locator("#test-result")).to_contain_text("200")
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name=re.compile("Targets")).click()
    page.get_by_role("checkbox", name=re.compile("^To look at")).check()
    expect(page.get_by_text("To look at is told of this check.").first).to_be_visible()
    world.manage("run_checks")
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
        ("integration", "/integrations/", r"/integrations/\d+/"),
        ("user", "/users/?check=no-mfa", r"/users/\d+/"),
    ):
        page.goto(listing)
        match = re.search(f'href="({pattern})"', page.content())
        assert match, f"{listing} links to nothing"
        found[name] = match[1]
    found["edit"] = f"{found['integration']}edit/"
    return found


def open_menu(page: Page) -> None:
    page.goto("/integrations/")
    page.get_by_role("button", name="Actions for To look at").click()


def open_targets(page: Page) -> None:
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name=re.compile("Targets")).click()


def open_options(page: Page) -> None:
    open_targets(page)
    page.get_by_role("button", name=re.compile("^Only whom, and when: To look at, the list")).click()


def dialog_of(url: str, button: str | re.Pattern[str]) -> Callable[[Page], None]:
    def open_dialog(page: Page) -> None:
        page.goto(url)
        page.get_by_role("button", name=button).first.click()

    return open_dialog


def refused_form(page: Page) -> None:
    page.goto("/integrations/add/webhook/")
    page.get_by_role("button", name="Add integration").click()
    expect(page.get_by_role("alert")).to_be_visible()


DIALOGS: dict[str, Callable[[Page], None]] = {
    "run": dialog_of("/checks/", "Run Checks Now"),
    "exclusion": dialog_of("/checks/no-mfa/", re.compile("^Exclude ")),
    "saved filter": dialog_of("/users/?q=k", re.compile("Save")),
    "replay": dialog_of("/deliveries/", re.compile("Replay")),
    "options": open_options,
}
OF_A_TARGET = {"checks": "Enable on checks…", "rotate": "Rotate signing secret…", "delete": "Delete…"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_keeps_anybody_out_or_leaves_the_origin(opened: Opened, theme: str):
    wrong: dict[str, list[str]] = {}
    with opened(DESKTOP, theme) as page:
        details = detail_pages(page)
        for name, url in {**PAGES, **details, **RECORDS}.items():
            page.goto(url)
            page.wait_for_load_state("networkidle")
            wrong[name] = violations(page)
        for name, act in {"menu": open_menu, "targets": open_targets, "refused form": refused_form}.items():
            act(page)
            wrong[name] = violations(page)
        dialogs = DIALOGS | {
            name: dialog_of(details["integration"], words) for name, words in OF_A_TARGET.items()
        }
        for name, act in dialogs.items():
            act(page)
            page.get_by_role("dialog").wait_for()
            wrong[f"dialog: {name}"] = violations(page)
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_fits_a_phone(opened: Opened, theme: str):
    wide = {}
    with opened(PHONE, theme) as page:
        for name, url in {**PAGES, **detail_pages(page)}.items():
            page.goto(url)
            page.wait_for_load_state("networkidle")
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if over > 0:
                wide[name] = over
        assert violations(page) == []
        page.get_by_role("button", name=re.compile("menu|navigation", re.I)).first.click()
        page.get_by_role("link", name="Users").first.click()
        expect(page.get_by_role("heading", name="Users", exact=True)).to_be_visible()
    assert wide == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sign_in_page_is_accessible_and_asks_nothing_of_others(opened: Opened, theme: str):
    with opened(DESKTOP, theme, signed_in=False) as page:
        page.goto("/checks/")
        assert violations(page) == []
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
        assert violations(page) == []


def focused(page: Page) -> str:
    """What the element with the focus is called; empty where none has it."""
    found = "(e => e === document.body ? '' : e.getAttribute('aria-label') || e.innerText || '')"
    return str(page.evaluate(f"{found}(document.activeElement)"))


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what is called ``name``."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if name in focused(page):
            return
    raise AssertionError(f"Tab never reaches {name}")


def test_a_target_is_tested_and_enabled_with_the_keyboard_alone(page: Page):
    page.goto("/integrations/")
    page.keyboard.press("Tab")
    assert "Skip" in focused(page)
    page.keyboard.press("Enter")
    tab_to(page, "Actions for To look at")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-menu]:popover-open").get_by_role("link", name="Edit")).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert "Test Connectivity" in focused(page)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("200")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="To look at").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("To look at"))).to_be_visible()
    tab_to(page, "Enable on checks…")
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    tab_to(page, "Mail Forwarded to the Outside: the list of users")
    page.keyboard.press("Space")
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("is enabled on 2 checks"))).to_be_visible()


def test_a_run_is_started_and_followed_with_the_keyboard_alone(page: Page):
    page.goto("/checks/")
    tab_to(page, "Run Checks Now")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name=re.compile(r"Run \d+ checks"))).to_be_visible()
    expect(dialog.get_by_role("button", name=re.compile(r"Run \d+ checks"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Run finished", timeout=60_000)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
