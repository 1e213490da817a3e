"""Chromium on real servers, with the keyboard alone: nothing needs a mouse, and the focus is seen and never lost."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser_world import BASIC, SIGNING_SECRET, Installation, create_webhook
from tests.console.conftest import Opened

pytestmark = pytest.mark.browser

NEW_USERS = """login,email,display_name,status,user_type,created_at,last_sign_in_at,mfa_enabled,manager
keyboard,keyboard@example.com,Keyboard Doe,active,internal,2020-01-01,2026-01-01,false,boss
"""
# What the element with the focus is called; empty where none has it.
FOCUSED = """(one => one === document.body ? '' :
    one.getAttribute('aria-label') || one.labels?.[0]?.innerText || one.innerText || '')(document.activeElement)"""
# Whether its focus is drawn, and where it can be seen.
SEEN = """(one => {
    const [style, box] = [getComputedStyle(one), one.getBoundingClientRect()];
    const drawn = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    return drawn && box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
})(document.activeElement)"""
MOST_STOPS = 200


@pytest.fixture(scope="module", autouse=True)
def _something_to_reach(request: pytest.FixtureRequest) -> None:
    """A target, a run and a test, so that no list is empty when this file runs alone."""
    world: Installation = request.getfixturevalue("world")
    context = request.getfixturevalue("chromium").new_context(base_url=world.url)
    context.add_cookies(request.getfixturevalue("cookies"))
    page = context.new_page()
    create_webhook(page, world, "To reach", "/basic", "basic")
    page.get_by_role("button", name="Test connectivity").click()
    expect(page.locator("#test-result")).to_contain_text("200")
    world.manage("run_checks")
    context.close()


def focused(page: Page) -> str:
    return str(page.evaluate(FOCUSED))


def tab_to(page: Page, name: str, *, link: bool = False) -> None:
    """Press Tab until the focus is on what is called ``name``."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        # The sidebar has a button that begins with the same word.
        is_meant = focused(page) == name if name == "Save" else name in focused(page)
        if is_meant and (not link or page.evaluate("!!document.activeElement.href")):
            return
    raise AssertionError(f"Tab never reaches {name}")


def press(page: Page, name: str, key: str = "Enter") -> None:
    tab_to(page, name)
    page.keyboard.press(key)


def write(page: Page, name: str, text: str) -> None:
    tab_to(page, name)
    page.keyboard.insert_text(text)


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()


def follow(page: Page, name: str, to: str) -> None:
    """Follow the link to the page with that heading."""
    tab_to(page, name, link=True)
    page.keyboard.press("Enter")
    heading(page, to)


def test_the_way_of_a_first_webhook_to_its_delivery(page: Page, world: Installation):
    (world.folder / "new.csv").write_text(NEW_USERS)
    world.manage("import_users", str(world.folder / "new.csv"), "--source", "okta")
    page.goto("/")
    follow(page, "Integrations", "Integrations")
    follow(page, "Add integration", "Add an integration")
    follow(page, "Webhook", "Add Webhook")
    user, password = BASIC.split(":")
    write(page, "Name", "By keyboard")
    write(page, "URL", f"{world.receiver}/basic/keyboard")
    write(page, "User name", user)
    write(page, "Password", password)
    write(page, "Signing secret", SIGNING_SECRET)
    press(page, "Add integration")
    expect(page.get_by_text("It is on no check yet").first).to_be_visible()
    press(page, "Test connectivity")
    expect(page.locator("#test-result")).to_contain_text("200")
    assert "Test connectivity" in focused(page)

    follow(page, "Checks", "Checks")
    follow(page, "No MFA Configured", "No MFA Configured")
    follow(page, "Customize messages", "Messages of No MFA Configured")
    tab_to(page, "Message")
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("Written by keyboard.")
    expect(page.locator("#message-preview")).to_contain_text("Written by keyboard.")
    press(page, "Save")
    expect(page.get_by_text("Saved. The next message uses this text.")).to_be_visible()
    press(page, "Test By keyboard")
    expect(page.locator(".chk-test-row", has_text="By keyboard")).to_contain_text("Delivered, 200")
    assert focused(page) == "Test By keyboard"

    follow(page, "The check", "No MFA Configured")
    press(page, "Targets", "ArrowDown")
    while "By keyboard" not in focused(page):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_text("By keyboard is enabled on this check.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#targets-menu")).to_be_hidden()
    assert "Targets" in focused(page)

    follow(page, "Checks", "Checks")
    press(page, "Run checks now")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Run and notify")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Run finished", timeout=60_000)
    follow(page, "Deliveries (", "Deliveries")
    # Other tests' targets may be enabled on this check too, in any order.
    tab_to(page, "No MFA Configured", link=True)
    while "By keyboard" not in page.evaluate("document.activeElement.closest('tr').textContent"):
        tab_to(page, "No MFA Configured", link=True)
    page.keyboard.press("Enter")
    heading(page, "No MFA Configured")
    expect(page.locator("#delivery-state")).to_contain_text("Delivered", timeout=60_000)
    expect(page.locator("#delivery-body")).to_contain_text("Written by keyboard.")
    (event,) = [one for one in world.received("/basic/keyboard") if '"runId"' in one["body"]]
    assert event["verification"]["ok"], event["verification"]
    assert "keyboard@example.com" in event["body"]


def test_a_target_is_tested_and_enabled_from_its_row(page: Page):
    page.goto("/integrations/")
    page.keyboard.press("Tab")
    assert "Skip" in focused(page)
    page.keyboard.press("Enter")
    press(page, "Actions for To reach", "ArrowDown")
    expect(page.locator("[data-menu]:popover-open").get_by_role("link", name="Edit")).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert "Test connectivity" in focused(page)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("200")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="To reach").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("To reach"))).to_be_visible()
    press(page, "Enable on checks…")
    expect(dialog).to_be_visible()
    press(page, "Mail Forwarded to the Outside: the list of users", "Space")
    press(page, "Save")
    expect(page.get_by_text(re.compile("is enabled on 1 check"))).to_be_visible()


def test_a_menu_opens_at_its_first_or_last_entry_and_goes_round(page: Page):
    page.goto("/integrations/")
    opener = page.get_by_role("button", name="Actions for To reach")
    opener.focus()
    page.keyboard.press("ArrowUp")
    for key, entry in (
        ("", "Delete…"),
        ("ArrowUp", "Rotate signing secret…"),
        ("End", "Delete…"),
        ("ArrowDown", "Edit"),
        ("ArrowUp", "Delete…"),
        ("Home", "Edit"),
    ):
        if key:
            page.keyboard.press(key)
        assert entry in focused(page), key
    page.keyboard.press("Escape")
    expect(page.locator("[data-menu]:popover-open")).to_have_count(0)
    expect(opener).to_be_focused()


DIALOGS: dict[str, tuple[str, list[str | re.Pattern[str]]]] = {
    "run": ("/checks/", ["Run checks now"]),
    "exclude": ("/checks/no-mfa/", [re.compile("^Exclude ")]),
    "save a filter": ("/users/?q=k", [re.compile("Save this filter")]),
    "replay": ("/deliveries/", [re.compile("Replay")]),
    "test": ("/integrations/", [re.compile("^Actions for"), "Test connectivity"]),
    "enable": ("/integrations/", [re.compile("^Actions for"), "Enable on checks…"]),
    "rotate": ("/integrations/", [re.compile("^Actions for"), "Rotate signing secret…"]),
    "delete": ("/integrations/", [re.compile("^Actions for"), "Delete…"]),
}


@pytest.mark.parametrize(("url", "buttons"), DIALOGS.values(), ids=DIALOGS)
def test_a_dialog_takes_the_focus_keeps_it_and_gives_it_back(
    page: Page, url: str, buttons: list[str | re.Pattern[str]]
):
    page.goto(url)
    opener = page.get_by_role("button", name=buttons[0]).first
    for name in buttons:
        page.get_by_role("button", name=name).first.focus()
        page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    for _ in range(4):
        within = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        assert page.evaluate(within), focused(page)
        page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_focus_is_seen_at_every_stop_and_no_page_traps_it(opened: Opened, theme: str):
    unseen: dict[str, list[str]] = {}
    with opened(theme=theme) as page:
        for url in WALKED:
            page.goto(url)
            page.wait_for_load_state("networkidle")
            stops = 0
            page.keyboard.press("Tab")
            while page.evaluate("document.activeElement !== document.body"):
                if not page.evaluate(SEEN):
                    unseen.setdefault(url, []).append(focused(page))
                stops += 1
                assert stops < MOST_STOPS, f"{url} does not let go of the focus"
                page.keyboard.press("Tab")
            assert stops > 10, f"{url} has hardly anything to reach"
    assert unseen == {}


WALKED = (
    "/",
    "/checks/?search=mfa",
    "/checks/no-mfa/",
    "/checks/no-mfa/settings",
    "/checks/no-mfa/messages",
    "/integrations/",
    "/integrations/add/webhook/",
    "/integrations/sources/",
    "/users/",
    "/deliveries/?origin=test",
    "/settings/",
)


def test_the_operators_records_are_unfolded_in_the_menu(page: Page):
    page.goto("/")
    press(page, "Administration")
    expect(page.locator("#nav-sidebar-apps").get_by_role("link", name="Audit trail")).to_be_visible()
    press(page, "Members and roles")
    expect(page).to_have_url(re.compile("/admin/auth/user/"))
    expect(page.locator("#nav-sidebar-apps [aria-current=page]")).to_contain_text("Members and roles")


def test_a_parameter_is_hidden_as_soon_as_it_is_called_secret(page: Page):
    page.goto("/integrations/add/webhook/")
    press(page, "Add a parameter")
    value = page.get_by_label("Value", exact=True)
    write(page, "Value", "hush")
    expect(value).to_have_attribute("type", "text")
    press(page, "Secret", "Space")
    expect(value).to_have_attribute("type", "password")
    expect(value).to_have_value("hush")
    page.keyboard.press("Space")
    expect(value).to_have_attribute("type", "text")


def test_what_a_person_has_folded_stays_so_while_a_delivery_is_watched(page: Page, world: Installation):
    create_webhook(page, world, "Away", "", "basic", url="http://127.0.0.1:9/")
    target = page.url.rstrip("/").rsplit("/", 1)[-1]
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name=re.compile("Targets")).click()
    page.get_by_role("checkbox", name=re.compile("^Away")).check()
    page.get_by_role("button", name="Send current failures: Away, the list of users").click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Send ")).click()
    expect(page.get_by_text(re.compile("on the way to Away"))).to_be_visible()
    page.goto(f"/deliveries/?target={target}&origin=current")
    page.locator("tbody a").first.click()
    latest = page.locator("details[id^=attempt-][open]")
    expect(latest).to_have_count(1)
    attempt = latest.get_attribute("id") or ""
    press(page, f"Attempt {attempt.removeprefix('attempt-')}")
    for _ in range(2):
        with page.expect_response(page.url):
            pass
    expect(page.locator(f"#{attempt}")).not_to_have_attribute("open", re.compile(".*"))
    assert f"Attempt {attempt.removeprefix('attempt-')}" in focused(page)


def test_nothing_moves_where_motion_is_not_wanted(page: Page):
    page.emulate_media(reduced_motion="reduce")
    page.goto("/checks/")
    page.get_by_role("button", name="Run checks now").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Run and notify").click()
    moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
    expect(dialog).to_contain_text(re.compile("Waiting|Running|Run finished"))
    assert page.evaluate(moving) == 0
    expect(dialog).to_contain_text("Run finished", timeout=60_000)
    assert page.evaluate(moving) == 0
