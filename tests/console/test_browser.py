"""Chromium on real servers: the way of a first webhook to a verified delivery, and what is done day by day."""

import json
import re
import time
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser_world import Installation, create_webhook

pytestmark = pytest.mark.browser


def test_from_an_empty_installation_to_a_verified_delivery(page: Page, world: Installation):
    paths = {"SOAR": "/basic", "Workflows": "/api-key", "SIEM": "/oauth/in"}
    for (name, path), kind in zip(paths.items(), ("basic", "api_key", "oauth"), strict=True):
        create_webhook(page, world, name, path, kind)
        page.get_by_role("button", name="Test connectivity").first.click()
        expect(page.locator("#test-result")).to_contain_text("200")
        (test,) = world.received(path)
        assert test["verification"]["ok"], test["verification"]
        assert "WebhookTest" in test["body"]

    page.goto("/checks/no-mfa/")
    page.get_by_role("link", name="Customize messages").click()
    editor = page.get_by_label("Message", exact=True)
    editor.fill("Attention: {{ nobody }}")
    expect(page.locator("#message-preview")).to_contain_text("Line 1, column 15")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Not saved.")).to_be_visible()
    page.get_by_label("Message", exact=True).fill("Attention: ")
    page.get_by_role("button", name=re.compile("^check.title")).click()
    expect(page.get_by_label("Message", exact=True)).to_have_value("Attention: {{ check.title }}")
    expect(page.locator("#message-preview")).to_contain_text("Attention: No MFA Configured")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved. The next message uses this text.")).to_be_visible()
    for name in paths:
        page.get_by_role("button", name=f"Test {name}").click()
        expect(page.locator(".chk-test-row", has_text=name)).to_contain_text("Delivered, 200")

    page.get_by_role("link", name="The check").click()
    page.get_by_role("button", name=re.compile("^notifications_active|Targets")).click()
    for count, name in enumerate(paths, 1):
        page.get_by_role("checkbox", name=re.compile(f"^{name}")).check()
        expect(page.locator("#targets-count")).to_have_text(str(count))

    page.goto("/checks/")
    page.get_by_role("button", name="Run checks now").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No MFA Configured")
    for name in paths:
        expect(dialog.locator("li", has_text="No MFA Configured").first).to_contain_text(name)
    dialog.get_by_role("button", name="Run and notify").click()
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
        verification = event["verification"]
        assert (verification["ok"], verification["signature"], verification["schema"]) == (
            True,
            "valid",
            "valid",
        )
        detail = json.loads(event["body"])["detail"]
        assert sorted(detail["usersFailing"]) == ["ann@example.com", "kim@example.com", "lee@example.com"]
        assert detail["message"] == "Attention: No MFA Configured"


def test_an_enabled_target_can_be_undone_and_everything_works_by_keyboard(page: Page):
    page.goto("/checks/mfa-bypass/")
    button = page.get_by_role("button", name=re.compile("Targets"))
    button.focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("checkbox", name=re.compile("^SOAR"))
    box.focus()
    page.keyboard.press("Space")
    expect(page.locator("#targets-count")).to_have_text("1")
    expect(page.get_by_role("checkbox", name=re.compile("^SOAR"))).to_be_focused()
    # The answer may take its time: it counts all the same.
    page.route("**/targets/**", lambda route: (time.sleep(0.3), route.continue_()))
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
    dialog.get_by_role("button", name="Remove the exclusion").click()
    expect(page.get_by_text("No user is excluded")).to_be_visible()


def test_why_does_a_user_fail_and_an_exclusion_for_30_days_from_the_page_of_that_user(
    page: Page, world: Installation
):
    """Five clicks: the user, Evaluate now, Exclude, its confirmation, and back on the same page."""
    page.goto("/users/?q=ann")
    page.get_by_role("link", name="Ann Doe").click()
    expect(page.get_by_role("region", name="Failing now")).to_contain_text("Sources without MFA")
    expect(page.locator("time").first).to_have_attribute(
        "title", re.compile(r"\d{4}, \d\d:\d\d:\d\d [\w+]+$")
    )
    page.get_by_role("button", name="Evaluate now").click()
    expect(page.get_by_role("heading", name="Evaluated now")).to_be_visible()
    page.get_by_role("button", name="Exclude from No MFA Configured").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Last day")).to_be_hidden()
    dialog.get_by_label("For").select_option("date")
    expect(dialog.get_by_label("Last day")).to_be_visible()
    dialog.get_by_label("For").select_option("30")
    dialog.get_by_label("Reason").fill("Token on order")
    dialog.get_by_role("button", name="Exclude", exact=True).click()
    expect(page.get_by_role("heading", name="Ann Doe")).to_be_visible()
    expect(page.get_by_role("region", name="Exclusions")).to_contain_text("Token on order")
    page.get_by_role("link", name="No MFA Configured").first.click()
    expect(page.get_by_role("table")).to_contain_text("ann@example.com")
    expect(page.get_by_role("table")).not_to_contain_text("kim@example.com")
    page.goto("/checks/no-mfa/exclusions")
    page.get_by_label("Select all users").check()
    page.get_by_role("button", name="Remove the selected…").click()
    dialog.get_by_role("button", name="Remove the exclusion").click()
    expect(page.get_by_text("No user is excluded")).to_be_visible()


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
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Add the tag to")).click()
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
