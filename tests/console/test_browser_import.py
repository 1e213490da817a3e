"""Chromium goes from a vendor's own export to findings: file, columns, words, dry run, import, checks."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser_world import Installation
from tests.console.conftest import DESKTOP, PHONE, Opened
from tests.console.test_browser_pages import violations

pytestmark = pytest.mark.browser
# A folder for pictures of each step, to look at.
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
SAMPLES = Path(__file__).parents[1] / "samples"
# Sample → slug, kind, who fails No MFA by it, the order of dates that has to be named.
EXPORTS = {
    "okta.csv": ("first-okta", "identity", "bruno.keller@example.com", ""),
    "entra.csv": ("first-entra", "identity", "bruno.keller@example.com", ""),
    "ad-powershell.csv": ("first-ad", "identity", "bruno.keller@example.com", "mdy"),
    "aws-credential-report.csv": ("first-aws", "identity", "kim", ""),
}


def upload(page: Page, slug: str, file: Path) -> None:
    page.goto("/integrations/sources/")
    form = page.locator("form").filter(has=page.locator("input[type=file]"))
    form.locator("select[name=source]").select_option("new")
    form.get_by_label("Short name").fill(slug)
    form.locator("input[type=file]").set_input_files(file)
    form.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="Columns")).to_be_visible()


@pytest.mark.parametrize("sample", EXPORTS)
def test_from_a_vendors_export_to_findings(page: Page, world: Installation, sample: str) -> None:
    slug, _, _, dates = EXPORTS[sample]
    upload(page, slug, SAMPLES / sample)
    expect(page.get_by_text("This looks like an export of")).to_be_visible()
    if dates:
        page.get_by_role("button", name="Save and continue").click()
        expect(page.get_by_text("can be read in two ways")).to_be_visible()
        page.get_by_label("Order of dates").select_option(dates)
    page.get_by_role("button", name="Save and continue").click()
    heading = page.get_by_role("heading", name=re.compile("^(Words|Options)$"))
    expect(heading).to_be_visible()
    if heading.inner_text() == "Words":
        page.get_by_role("combobox").first.select_option("internal")
        page.get_by_role("button", name="Save and continue").click()
    expect(page.get_by_role("heading", name="Options")).to_be_visible()
    expect(page.get_by_role("heading", name="Rejected rows")).to_have_count(0)
    page.get_by_role("button", name=re.compile(r"^Import \d+ rows$")).click()
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.locator("main")).to_contain_text("none rejected")
    world.manage("run_checks")
    page.goto(f"/users/?source={slug}&check=no-mfa")
    failing = EXPORTS[sample][2]
    expect(page.locator("main")).to_contain_text(failing)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_step_keeps_nobody_out_and_is_as_wide_as_the_screen(
    opened: Opened, tmp_path: Path, size: dict[str, int], theme: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("login,status,created_at,title\nann,Zzyzx,2024-01-01,CEO\nbob,active,yesterday,\n")
    with opened(size, theme) as page:

        def look(name: str) -> None:
            if folder := SCREENSHOTS:
                page.screenshot(path=f"{folder}/{name}-{size['width']}-{theme}.png", full_page=True)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

        page.goto("/integrations/sources/")
        look("1-sources")
        upload(page, f"look-{size['width']}-{theme}", file)
        look("2-columns")
        page.get_by_role("button", name="Save and continue").click()
        expect(page.get_by_role("heading", name="Words")).to_be_visible()
        look("3-words")
        page.get_by_role("button", name="Save and continue").click()
        expect(page.get_by_role("heading", name="Options")).to_be_visible()
        look("4-check")
        page.get_by_role("button", name=re.compile("^Import 1 row$")).click()
        expect(page.get_by_role("heading", name="Result")).to_be_visible()
        look("5-import")
        page.get_by_role("link", name=f"look-{size['width']}-{theme}").first.click()
        expect(page.get_by_role("heading", name="Imports")).to_be_visible()
        look("6-source")
        page.get_by_role("button", name=re.compile("^Actions for")).click()
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("heading", name="Delete this source?")).to_be_visible()
        look("7-delete")
