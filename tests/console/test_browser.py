"""Chromium on real servers: the way of a first webhook, and that no page breaks a rule that people rely on."""

import json
import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.console.browser_world import (
    API_KEY,
    BASIC,
    CLIENT,
    PASSWORD,
    SIGNING_SECRET,
    Installation,
    installation,
)

pytestmark = pytest.mark.browser
PATIENCE = 20_000  # milliseconds until a page must show what is awaited
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

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
    "users": "/users/",
    "settings": "/settings/",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"], args=["--no-sandbox", "--disable-gpu", *QUIET]
        )
        yield chromium
        chromium.close()


class Guard:
    """Watches a page for what must never happen: console errors, script errors, other origins."""

    def __init__(self, page: Page, origin: str) -> None:
        self.problems: list[str] = []
        self.origin = origin
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, kind: str, text: str) -> None:
        # A form that is refused answers 422 on purpose, and Chromium reports every such status.
        if kind in ("error", "warning") and "422" not in text:
            self.problems.append(f"console {kind}: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.problems.append(f"request to {url}")


@pytest.fixture(scope="module")
def cookies(browser: Browser, world: Installation) -> list:
    """One sign-in through the form, shared by the tests."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{world.url}/checks/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Checks", exact=True)).to_be_visible(timeout=PATIENCE)
    kept = context.cookies()
    context.close()
    return kept


def opened(browser: Browser, world: Installation, cookies: list, size: dict, theme: str) -> BrowserContext:
    context = browser.new_context(viewport=size, color_scheme=theme, base_url=world.url)
    context.set_default_timeout(PATIENCE)
    context.add_cookies(cookies)
    return context


@pytest.fixture
def page(browser: Browser, world: Installation, cookies: list) -> Iterator[Page]:
    """A signed-in page; what it must never do fails its test at the end."""
    context = opened(browser, world, cookies, DESKTOP, "light")
    made = context.new_page()
    guard = Guard(made, world.url)
    yield made
    context.close()
    assert guard.problems == []


def create_webhook(page: Page, world: Installation, name: str, path: str, kind: str) -> None:
    page.goto("/integrations/add/webhook/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("URL", exact=True).fill(f"{world.receiver}{path}")
    page.get_by_label("Authorization", exact=True).select_option(kind)
    if kind == "basic":
        user, password = BASIC.split(":")
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(password)
    elif kind == "api_key":
        header, value = API_KEY.split("=")
        page.get_by_label("Header name").fill(header)
        page.get_by_label("Header value").fill(value)
    else:
        client, secret = CLIENT.split(":")
        page.get_by_label("Authorization endpoint").fill(f"{world.receiver}/oauth/token")
        page.get_by_label("Client id").fill(client)
        page.get_by_label("Client secret").fill(secret)
    page.get_by_label("Signing secret").fill(SIGNING_SECRET)
    page.get_by_role("button", name="Add integration").click()
    expect(page.get_by_text("It is on no check yet").first).to_be_visible()


def test_from_an_empty_installation_to_a_verified_delivery(page: Page, world: Installation):
    paths = {"SOAR": "/basic", "Workflows": "/api-key", "SIEM": "/oauth/in"}
    for (name, path), kind in zip(paths.items(), ("basic", "api_key", "oauth"), strict=True):
        create_webhook(page, world, name, path, kind)
        page.get_by_role("button", name="Test Connectivity").first.click()
        expect(page.locator("#test-result")).to_contain_text("200")
        (test,) = world.received(path)
        assert test["verdict"]["ok"], test["verdict"]
        assert "WebhookTest" in test["body"]

    page.goto("/checks/no-mfa/")
    page.get_by_role("link", name="Customize Messages").click()
    editor = page.get_by_label("Message", exact=True)
    editor.fill("Attention: {{ nobody }}")
    expect(page.locator("#message-preview")).to_contain_text("Line 1, column 15")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not saved.")).to_be_visible()
    page.get_by_label("Message", exact=True).fill("Attention: ")
    page.get_by_role("button", name=re.compile("^check.title")).click()
    expect(page.get_by_label("Message", exact=True)).to_have_value("Attention: {{ check.title }}")
    expect(page.locator("#message-preview")).to_contain_text("Attention: No MFA Configured")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. The next message reads like this.")).to_be_visible()
    for name in paths:
        page.get_by_role("button", name=f"Test {name}").click()
        expect(page.locator(".chk-test-row", has_text=name)).to_contain_text("Delivered, 200")

    page.get_by_role("link", name="The check").click()
    page.get_by_role("button", name=re.compile("^notifications_active|Targets")).click()
    for count, name in enumerate(paths, 1):
        page.get_by_role("checkbox", name=re.compile(f"^{name}")).check()
        expect(page.locator("#targets-count")).to_have_text(str(count))

    page.goto("/checks/")
    page.get_by_role("button", name="Run Checks Now").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No MFA Configured")
    for name in paths:
        expect(dialog.locator("li", has_text="No MFA Configured").first).to_contain_text(name)
    dialog.get_by_role("button", name=re.compile(r"Run \d+ checks")).click()
    expect(dialog).to_contain_text("Run finished", timeout=60_000)
    dialog.get_by_role("link", name=re.compile(r"^Deliveries \(3\)")).click()

    for name in paths:
        page.get_by_role("row").filter(has_text=name).get_by_role("link", name="No MFA Configured").click()
        expect(page.locator("#delivery-state")).to_contain_text("Delivered", timeout=60_000)
        expect(page.locator("#delivery-state")).to_contain_text("Attempt 1")
        expect(page.locator("#delivery-body")).to_contain_text("Attention: No MFA Configured")
        page.go_back()

    for path in paths.values():
        (event,) = [entry for entry in world.received(path) if '"runId"' in entry["body"]]
        verdict = event["verdict"]
        assert (verdict["ok"], verdict["signature"], verdict["schema"]) == (True, "valid", "valid"), verdict
        detail = json.loads(event["body"])["detail"]
        assert sorted(detail["usersFailing"]) == ["ann@example.com", "kim@example.com", "lee@example.com"]
        assert detail["message"] == "Attention: No MFA Configured"


def test_a_tick_can_be_undone_and_everything_works_by_keyboard(page: Page):
    page.goto("/checks/mfa-bypass/")
    button = page.get_by_role("button", name=re.compile("Targets"))
    button.focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("checkbox", name=re.compile("^SOAR"))
    box.focus()
    page.keyboard.press("Space")
    expect(page.locator("#targets-count")).to_have_text("1")
    expect(page.get_by_role("checkbox", name=re.compile("^SOAR"))).to_be_focused()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#targets-count")).to_have_text("0")
    page.reload()
    expect(page.locator("#targets-count")).to_have_text("0")


def test_a_user_is_excluded_in_a_dialog_that_says_what_is_missing(page: Page):
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name="Exclude kim@example.com").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    dialog.get_by_role("button", name="Exclude", exact=True).click()
    expect(dialog).to_contain_text("This field is required.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Exclude kim@example.com").click()
    dialog.get_by_label("Reason").fill("On leave")
    dialog.get_by_role("button", name="Exclude", exact=True).click()
    expect(page.get_by_text("Excluded from the next run on")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Exclusions")).click()
    page.get_by_role("button", name="Remove the exclusion of kim@example.com").click()
    expect(page.get_by_text("Nobody is excluded")).to_be_visible()


def test_the_settings_say_how_many_would_fail_before_they_are_saved(page: Page):
    page.goto("/checks/no-mfa/settings")
    expect(page.locator("#would-fail")).to_contain_text("no change")
    page.get_by_label("Ignored logins").fill("kim@example.com")
    expect(page.locator("#would-fail")).to_contain_text("2")
    expect(page.locator("#would-fail")).to_contain_text("-1")
    page.get_by_label("Grace period in days").fill("-5")
    expect(page.locator("#would-fail")).to_contain_text("greater than or equal to 0")


def test_a_check_is_switched_off_and_several_are_tagged(page: Page):
    page.goto("/checks/?search=password")
    switch = page.get_by_role("switch", name=re.compile("^Password Never Expires"))
    switch.uncheck()
    expect(page.get_by_text("Password Never Expires is off.")).to_be_visible()
    page.get_by_role("switch", name=re.compile("^Password Never Expires")).check()
    page.get_by_role("checkbox", name="Select all checks shown").check()
    bar = page.get_by_role("form", name="Change the selected checks")
    bar.get_by_label("What to do").select_option("add_tag")
    bar.get_by_role("combobox", name="Tag", exact=True).fill("credentials")
    bar.get_by_role("button", name="Apply").click()
    expect(page.get_by_text(re.compile("Tag credentials added to"))).to_be_visible()


def test_one_delivery_is_replayed_and_arrives_again_with_the_same_id(page: Page, world: Installation):
    page.goto("/deliveries/?origin=run")
    page.get_by_role("link", name="No MFA Configured").first.click()
    delivery = urlsplit(page.url).path.strip("/").split("/")[-1]
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#delivery-state")).to_contain_text("Attempt 2", timeout=60_000)
    same = [entry for entry in world.received() if entry["headers"].get("webhook-id") == delivery]
    assert len(same) == 2
    assert same[0]["body"] == same[1]["body"]


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
        ("user", "/users/", r"/users/\d+/"),
    ):
        page.goto(listing)
        if match := re.search(f'href="({pattern})"', page.content()):
            found[name] = match[1]
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_keeps_anybody_out_or_leaves_the_origin(
    browser: Browser, world: Installation, cookies: list, theme: str
):
    context = opened(browser, world, cookies, DESKTOP, theme)
    page = context.new_page()
    guard = Guard(page, world.url)
    wrong: dict[str, list[str]] = {}
    for name, url in {**PAGES, **detail_pages(page)}.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        wrong[name] = violations(page)
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name=re.compile("Targets")).click()
    wrong["dropdown of targets"] = violations(page)
    page.goto("/checks/")
    page.get_by_role("button", name="Run Checks Now").click()
    page.get_by_role("dialog").wait_for()
    wrong["dialog of a run"] = violations(page)
    context.close()
    assert {name: found for name, found in wrong.items() if found} == {}
    assert guard.problems == []


def test_every_page_fits_a_phone(browser: Browser, world: Installation, cookies: list):
    context = opened(browser, world, cookies, PHONE, "light")
    page = context.new_page()
    guard = Guard(page, world.url)
    wide = {}
    for name, url in {**PAGES, **detail_pages(page)}.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 0:
            wide[name] = over
    wrong = violations(page)
    context.close()
    assert (wide, wrong, guard.problems) == ({}, [], [])


def test_the_sign_in_page_is_accessible_and_asks_nothing_of_others(browser: Browser, world: Installation):
    context = browser.new_context(base_url=world.url)
    page = context.new_page()
    guard = Guard(page, world.url)
    page.goto("/checks/")
    assert violations(page) == []
    context.close()
    assert guard.problems == []
