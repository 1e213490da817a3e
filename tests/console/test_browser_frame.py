"""Chromium on real servers: what holds of every page: its frame, its ways by the keyboard, its answers that take a while."""

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.chromium import PATIENCE
from tests.console.browser_world import Installation, create_webhook
from tests.console.conftest import DESKTOP, PHONE, Opened

pytestmark = pytest.mark.browser


def test_without_javascript_a_page_is_seen_and_says_what_is_missing(
    chromium: Browser, world: Installation, cookies: list
):
    context = chromium.new_context(viewport=DESKTOP, base_url=world.url, java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto("/checks/")
    expect(page.get_by_role("alert")).to_contain_text("JavaScript is off.")
    expect(page.get_by_role("heading", name="Checks", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="No MFA Configured", exact=True)).to_be_visible()
    page.goto("/search/?q=kim")
    expect(page.get_by_role("link", name="Kim Doe").first).to_be_visible()
    context.clear_cookies()
    page.goto("/checks/")
    expect(page.get_by_label("Username")).to_be_visible()
    context.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_content_is_two_tabs_away(opened: Opened, size: dict):
    with opened(size) as page:
        page.goto("/users/")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        expect(page.locator(":focus")).to_be_in_viewport()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.getElementById('c-main').contains(document.activeElement)")


def test_a_test_of_a_slow_receiver_says_that_it_is_under_way(page: Page, world: Installation):
    create_webhook(page, world, "Takes its time", "/basic", "basic")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/test/**", hold)
    result = page.locator("#test-result")
    page.get_by_role("button", name="Test connectivity").click()
    expect(result).to_have_text("Testing…")
    held.pop().continue_()
    expect(result).to_contain_text("200")

    page.goto("/integrations/")
    page.get_by_role("button", name="Actions for Takes its time").click()
    page.get_by_role("button", name="Test connectivity").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Testing…")
    held.pop().continue_()
    expect(dialog).to_contain_text("200")


def test_the_form_of_a_webhook_has_two_columns_where_there_is_room(opened: Opened):
    def lefts(size: dict) -> tuple[int, int]:
        with opened(size) as page:
            page.goto("/integrations/add/webhook/")
            boxes = [page.get_by_label(name, exact=True).bounding_box() for name in ("Name", "Template")]
            left, right = (round(box["x"]) for box in boxes if box)
            return left, right

    general, body = lefts(DESKTOP)
    assert body > general + DESKTOP["width"] // 4
    general, body = lefts(PHONE)
    assert body == general
