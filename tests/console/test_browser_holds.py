"""Chromium on real servers: held messages are seen, looked through, released by a member, and then arrive."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.browser_world import PASSWORD, Installation, hold_messages, installation
from tests.console.conftest import DESKTOP, PATIENCE, Guard
from tests.waiting import until

pytestmark = pytest.mark.browser


def signed_in(chromium: Browser, world: Installation) -> Page:
    context = chromium.new_context(base_url=world.url, viewport=DESKTOP)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def messages(world: Installation, number: int) -> list[str]:
    """The texts that reached the receiver, once there are ``number`` of them."""
    until(lambda: len(world.received("/basic/people")) >= number, f"{number} messages")
    return [json.loads(entry["body"])["detail"]["message"] for entry in world.received("/basic/people")]


def test_held_messages_are_released_in_the_browser_and_reach_the_receiver(chromium: Browser, tmp_path: Path):
    with installation(tmp_path) as world:
        hold_messages(world)
        page = signed_in(chromium, world)
        guard = Guard(page, world.url)
        # Three new users, and two of the installation's own, fail.
        expect(
            page.get_by_text("5 direct messages held. 5 people would get direct messages.")
        ).to_be_visible()
        page.get_by_role("link", name="Release or drop").click()
        expect(page.get_by_text("Nothing has been sent.")).to_be_visible()
        expect(page.get_by_role("link", name="See message")).to_have_count(0)
        expect(page.get_by_role("link", name="Message to zz0")).to_be_visible()
        page.get_by_placeholder("Recipient: name, e-mail, login or employee ID").fill("zz1")
        page.get_by_role("button", name="Apply").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        assert world.received("/basic/people") == []

        page.get_by_role("button", name="Release…").click()
        expect(page.get_by_role("dialog")).to_contain_text("5 messages to 5 people will be sent")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.get_by_role("button", name="Release…").click()
        page.get_by_role("button", name="Release 5").click()
        expect(page.get_by_text("5 messages are released and will be sent now.")).to_be_visible()

        assert len(messages(world, 5)) == 5
        page.goto("/deliveries/held/")
        page.locator("tbody a.c-name").click()
        expect(page.get_by_role("button", name="Release…")).to_have_count(0)
        expect(page.locator("tbody").get_by_text("Delivered")).to_have_count(5)
        assert guard.problems == []
        page.context.close()
