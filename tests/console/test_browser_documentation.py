"""The pictures of the documentation are drawn by our own files, again when the theme changes."""

import pytest
from playwright.sync_api import expect

from tests.console.conftest import DESKTOP, Opened

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_is_drawn_in_the_colours_of_the_theme(opened: Opened, theme: str) -> None:
    with opened(DESKTOP, theme) as page:
        page.goto("/docs/security/")
        drawing = page.locator("[data-picture] svg")
        expect(drawing).to_contain_text("Template process, no secrets")
        fill = "rgb(30, 41, 59)" if theme == "dark" else "rgb(241, 245, 249)"
        expect(drawing.locator(".node rect").first).to_have_css("fill", fill)
        # As the switch of the theme does.
        page.evaluate("document.documentElement.classList.toggle('dark')")
        expect(drawing.locator(".node rect").first).not_to_have_css("fill", fill)


def test_a_form_leads_to_its_guide_by_the_keyboard(opened: Opened) -> None:
    with opened() as page:
        page.goto("/integrations/add/slack/")
        page.get_by_role("link", name="Guide").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Slack", exact=True)).to_be_visible()
        page.get_by_role("link", name="All targets").click()
        expect(page.get_by_role("heading", name="Destinations")).to_be_visible()
