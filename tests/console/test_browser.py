"""Chromium on real servers: the way of a first webhook to a verified delivery, and what is done day by day."""

import json
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser_world import Installation, create_webhook

pytestmark = pytest.mark.browser


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
