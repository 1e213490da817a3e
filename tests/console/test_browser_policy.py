"""The records in Chromium under a policy that evaluates no text: what Unfold's own pages do still works."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.console.conftest import Opened

pytestmark = pytest.mark.browser
RECORDS = [f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry]


@pytest.mark.parametrize("record", RECORDS)
def test_every_list_of_records_opens_without_a_complaint(opened: Opened, record: str):
    """What Alpine cannot evaluate is an error in the console, which fails the test."""
    with opened() as page:
        page.goto(reverse(f"admin:{record}_changelist"))
        assert page.evaluate("Alpine.$data(document.body).sidebarDesktopOpen") is True


def test_a_record_and_the_form_of_a_member_open_without_a_complaint(page: Page):
    page.goto("/admin/checks/check/")
    page.locator("#result_list a[href*='/change/']").first.click()
    expect(page).to_have_url(re.compile(r"/change/"))
    page.goto("/admin/auth/user/add/")
    page.goto("/admin/password_change/")
    page.goto("/admin/auth/user/1/change/")
    assert page.locator("form[id$=_form]").get_attribute("action") == "/admin/auth/user/1/change/"


def test_text_is_not_evaluated(page: Page):
    page.goto("/")
    # The page's own world; what Playwright evaluates itself is outside the policy.
    page.evaluate(
        """() => { const link = document.createElement("button"); link.id = "probe";
        link.setAttribute("x-data", "{ found: '' }"); link.setAttribute("x-text", "found + 'parsed'");
        document.body.append(link); }"""
    )
    expect(page.locator("#probe")).to_have_text("parsed")
    policy = page.request.get("/").headers["content-security-policy"]
    assert "unsafe-eval" not in policy


def test_the_sidebar_closes_and_stays_closed(page: Page):
    page.goto("/admin/checks/user/")
    page.locator('[x-on\\:click="sidebarDesktopOpen = !sidebarDesktopOpen"]').first.click()
    assert page.evaluate("Alpine.$data(document.body).sidebarDesktopOpen") is False
    page.reload()
    assert page.evaluate("Alpine.$data(document.body).sidebarDesktopOpen") is False


def test_the_search_over_all_records_opens_by_its_key_and_follows_the_chosen_result(page: Page):
    page.goto("/admin/")
    page.keyboard.press("Control+k")
    field = page.locator("#search-input-command")
    expect(field).to_be_focused()
    field.press_sequentially("find")
    results = page.locator("#command-results-list li")
    expect(results.first).to_be_visible()
    field.press("ArrowDown")
    expect(results.and_(page.locator(".active"))).to_have_count(1)
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"/admin/checks/"))


def test_the_search_over_all_records_bears_every_key_before_it_has_results(page: Page):
    page.goto("/admin/")
    page.keyboard.press("Control+k")
    field = page.locator("#search-input-command")
    for key in ("Enter", "Control+Enter", "ArrowDown", "ArrowUp", "Enter", "Escape"):
        field.press(key)
    expect(field).to_be_hidden()
