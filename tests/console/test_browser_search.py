"""Chromium on a real server: the search over everything, with the keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import DESKTOP, PHONE, Opened
from tests.console.test_browser_pages import violations

pytestmark = pytest.mark.browser


def search(page: Page, text: str) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox", name="Search").last).to_be_focused()
    page.keyboard.insert_text(text)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_from_any_page_to_a_check_and_back_by_the_keyboard(opened: Opened, size: dict):
    with opened(size) as page:
        page.goto("/runs/")
        search(page, "no-mfa")
        expect(page.get_by_role("link", name="No MFA Configured")).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="No MFA Configured", level=1)).to_be_visible()

        search(page, "")
        expect(page.get_by_role("heading", name="Recent")).to_be_visible()
        expect(page.get_by_role("heading", name="Actions")).to_be_visible()
        assert violations(page) == []
        page.keyboard.press("ArrowDown")
        expect(page.locator("#c-finder-recent a").first).to_be_focused()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Escape")
        expect(page.locator("#c-finder")).to_be_hidden()


def test_an_action_opens_its_dialog(opened: Opened):
    with opened(DESKTOP) as page:
        page.goto("/users/")
        search(page, "run checks")
        expect(page.get_by_role("button", name="Run checks now").last).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").get_by_role("heading", name="Run checks now")).to_be_visible()
