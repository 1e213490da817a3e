"""Chromium walks the jobs that people have, on real servers: each in few clicks, and proven by what is seen on the page.

A click is a press of the mouse or a choice in a list; typing, Enter and the search by Ctrl+K are none.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.browser_world import (
    BASIC,
    PASSWORD,
    SIGNING_SECRET,
    USERS,
    Installation,
    installation,
)
from tests.console.conftest import DESKTOP, Guard
from tests.console.test_browser_pages import violations
from tests.waiting import until

pytestmark = pytest.mark.browser
EXPORT = Path(__file__).parents[1] / "samples" / "okta.csv"
# Fails no-mfa in that export, and is called Ana here.
ANA = "ana.silva@example.com"
LONG = 90_000  # milliseconds, for what workers do


class Walk:
    """A page with a count of the clicks on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()

    def choose(self, what: Locator, **option: str) -> None:
        self.clicks += 1
        what.select_option(**option)

    def button(self, name: str | re.Pattern[str], within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name).first

    def find(self, words: str, result: str) -> None:
        """By the search over everything, without the mouse."""
        self.page.keyboard.press("Control+k")
        finder = self.page.get_by_role("dialog", name="Search")
        finder.get_by_role("searchbox").fill(words)
        expect(finder.locator("#c-finder-results")).to_contain_text(result)
        self.page.keyboard.press("Enter")


def shown(page: Page, address: str, words: str) -> None:
    """Wait until a list has a row with these words: a list does not follow what workers do."""

    def is_there() -> bool:
        page.goto(address)
        return page.get_by_role("row").filter(has_text=words).count() > 0

    until(is_there, f"a row with {words} at {address}", seconds=LONG / 1000)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation as ``setup`` leaves it. The first walk fills it, the others go on from there."""
    with installation(tmp_path_factory.mktemp("walks"), has_users=False) as running:
        yield running


@pytest.fixture(scope="module")
def walking(chromium: Browser, empty: Installation) -> Iterator[Page]:
    context = chromium.new_context(viewport=DESKTOP, base_url=empty.url)
    context.set_default_timeout(LONG)
    page = context.new_page()
    guard = Guard(page, empty.url)
    yield page
    context.close()
    assert guard.problems == []


@pytest.fixture
def walk(walking: Page) -> Callable[[str], Walk]:
    def begin(path: str) -> Walk:
        walking.goto(path)
        return Walk(walking)

    return begin


def test_from_an_empty_installation_to_the_first_webhook(
    walk: Callable[[str], Walk], empty: Installation, tmp_path: Path
) -> None:
    step = walk("/")
    page = step.page
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    step.click(page.get_by_role("link", name="Add one"))
    step.click(page.get_by_role("link", name=re.compile("^Webhook")))
    page.get_by_label("Name", exact=True).fill("soar")
    page.get_by_label("URL", exact=True).fill(f"{empty.receiver}/basic/soar")
    user, password = BASIC.split(":")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Signing secret").fill(SIGNING_SECRET)
    step.click(step.button("Save and test"))
    expect(page.locator("#test-result")).to_contain_text("200")
    step.click(step.button("Choose checks"))
    step.click(page.get_by_role("checkbox", name="All checks: the list of users"))
    step.click(step.button("Save", page.get_by_role("dialog")))
    expect(page.get_by_role("heading", name=re.compile(r"^Enabled on \d+ checks"))).to_be_visible()
    step.click(page.get_by_role("link", name="Dashboard"))
    step.click(page.get_by_role("link", name="Add a source"))
    file = tmp_path / "okta.csv"
    hers = EXPORT.read_text().replace("bruno.keller@example.com", ANA)
    file.write_text(hers.replace("Bruno,Keller,Bruno Keller", "Ana,Silva,Ana Silva"))
    form = page.locator("form").filter(has=page.locator("input[type=file]"))
    form.get_by_label("Short name").fill("okta")
    step.clicks += 1  # the button that opens the list of files
    form.locator("input[type=file]").set_input_files(file)
    step.click(form.get_by_role("button", name="Upload"))
    expect(page.get_by_text("This looks like an export of")).to_be_visible()
    step.click(step.button("Save and continue"))
    heading = page.get_by_role("heading", name=re.compile("^(Words|Options)$"))
    expect(heading).to_be_visible()
    if heading.inner_text() == "Words":
        step.click(step.button("Save and continue"))
    step.click(step.button(re.compile(r"^Import \d+ rows$")))
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    step.click(step.button("Run Checks Now"))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("would newly fail", timeout=LONG)
    expect(dialog).to_contain_text("→ soar")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Run finished", timeout=LONG)
    expect(dialog.get_by_role("link", name=re.compile("^Deliveries"))).to_be_visible()
    assert step.clicks <= 14
    page.goto("/deliveries/?origin=run")
    row = page.get_by_role("row").filter(has_text="No MFA Configured")
    expect(row).to_contain_text("soar")
    row.get_by_role("link", name="No MFA Configured").click()
    expect(page.locator("#delivery-state")).to_contain_text("Delivered", timeout=LONG)
    expect(page.locator("#delivery-body")).to_contain_text(ANA)
    events = [each for each in empty.received("/basic/soar") if ANA in each["body"]]
    assert events
    assert all(each["verification"]["ok"] for each in events), events


def test_who_was_notified_about_her_and_what_they_read(walk: Callable[[str], Walk]) -> None:
    step = walk("/")
    step.find("ana.silva", ANA)
    sent = step.page.get_by_role("region", name="What was sent about this user")
    expect(sent).to_contain_text("soar")
    expect(sent).to_contain_text("Delivered")
    step.click(step.button("Read the message to soar about No MFA Configured"))
    dialog = step.page.get_by_role("dialog")
    expect(dialog).to_contain_text("No MFA Configured")
    assert violations(step.page) == []
    assert step.clicks <= 3


def test_why_she_fails_and_an_exclusion_for_30_days(walk: Callable[[str], Walk]) -> None:
    step = walk("/")
    step.find("ana.silva", ANA)
    failing = step.page.get_by_role("region", name="Failing now")
    expect(failing).to_contain_text("No MFA Configured")
    expect(failing).to_contain_text("Sources without MFA")
    step.click(step.button("Exclude from No MFA Configured"))
    dialog = step.page.get_by_role("dialog")
    step.choose(dialog.get_by_label("For"), value="30")
    dialog.get_by_label("Reason").fill("Her token is on order")
    assert violations(step.page) == []
    step.click(step.button("Exclude", dialog))
    exclusions = step.page.get_by_role("region", name="Exclusions")
    expect(exclusions).to_contain_text("Her token is on order")
    expect(exclusions).to_contain_text("to the end of")
    expect(failing).to_contain_text("Excluded from the next run on")
    assert step.clicks <= 5


def test_a_target_that_fails_since_this_morning(walk: Callable[[str], Walk], empty: Installation) -> None:
    """Somebody has entered a wrong password; the messages of the next run do not arrive."""
    user, password = BASIC.split(":")
    target = {
        "name": "soar",
        "kind": "webhook",
        "url": f"{empty.receiver}/basic/soar",
        "authorization": {"type": "basic", "username": user, "password": "out of date"},
    }
    checks = {"no-manager": {"enabled": True, "targets": [{"name": "soar"}]}}
    document = {"integrations": [target], "checks": checks}
    (empty.folder / "wrong.json").write_text(json.dumps(document))
    empty.manage("apply_config", str(empty.folder / "wrong.json"))
    zoe = "zoe,zoe@example.com,Zoe Doe,active,internal,2020-01-01,2026-01-01,true,,,IT"
    (empty.folder / "more.csv").write_text(f"{USERS.splitlines()[0]}\n{zoe}\n")
    empty.manage("import_users", str(empty.folder / "more.csv"), "--source", "more")
    empty.manage("run_checks", "no-manager")

    step = walk("/")
    page = step.page
    shown(page, "/deliveries/?state=dead", "soar")
    page.goto("/")
    notice = page.get_by_role("listitem").filter(has_text="“soar” has been failing since")
    step.click(notice.get_by_role("link", name="Open it"))
    failed = page.get_by_role("region", name="What failed")
    expect(failed).to_contain_text("401")
    expect(failed).to_contain_text("does not accept the credentials")
    assert violations(page) == []
    step.click(failed.get_by_role("link", name="Edit"))
    page.get_by_label("Password").fill(password)
    step.click(step.button("Save and test"))
    result = page.locator("#test-result")
    expect(result).to_contain_text("200")
    expect(failed).to_be_hidden()
    expect(page.locator("#target-state")).to_contain_text("Healthy")
    before = len(empty.received("/basic/soar"))
    step.click(step.button("Send now", result))
    question = page.get_by_role("dialog", name="Send now")
    expect(question).to_contain_text("to “soar” now?")
    assert violations(page) == []
    step.click(step.button("Send now", question))
    expect(page.get_by_text(re.compile("On the way: "))).to_be_visible()
    assert step.clicks <= 7
    shown(page, "/deliveries/?state=delivered&check=no-manager", "soar")
    assert len(empty.received("/basic/soar")) > before


def test_all_mfa_checks_are_tagged_and_a_target_is_enabled_on_critical_and_high(
    walk: Callable[[str], Walk],
) -> None:
    step = walk("/")
    page = step.page
    step.click(page.get_by_role("link", name="Checks", exact=True))
    search = page.locator("main").get_by_role("searchbox").first
    search.fill("mfa")
    search.press("Enter")
    expect(page).to_have_url(re.compile("search=mfa"))
    bar = page.get_by_role("form", name="Change the selected checks")
    step.click(page.get_by_role("checkbox", name="Select all checks shown"))
    step.choose(bar.get_by_label("What to do"), value="add_tag")
    tag = bar.get_by_role("combobox", name="Tag", exact=True)
    tag.fill("phishing")
    tag.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No MFA Configured")
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("Tag phishing added to"))).to_be_visible()
    search.fill("")
    search.press("Enter")
    expect(page).not_to_have_url(re.compile("search="))
    step.choose(page.locator("select[name=severity]"), label="Critical and high")
    expect(page).to_have_url(re.compile("severity=urgent"))
    expect(page.get_by_role("row").filter(has_text=re.compile("Medium|Low"))).to_have_count(0)
    step.click(page.get_by_role("checkbox", name="Select all checks shown"))
    step.choose(bar.get_by_label("What to do"), value="add_target")
    target = bar.get_by_role("combobox", name="Target", exact=True)
    value = target.locator("option").filter(has_text="soar").first.get_attribute("value")
    step.choose(target, value=str(value))
    step.click(step.button("Apply", bar))
    expect(dialog).to_contain_text("soar")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("soar.* enabled on"))).to_be_visible()
    assert step.clicks <= 8


def test_the_report_for_the_boss(walk: Callable[[str], Walk]) -> None:
    step = walk("/")
    page = step.page
    step.click(page.get_by_role("link", name="Report", exact=True))
    step.click(page.get_by_role("link", name="7 days"))
    expect(page.locator("main")).to_contain_text("Posture")
    expect(page.locator("main")).to_contain_text("No MFA Configured")
    assert violations(page) == []
    with page.expect_download() as started:
        step.click(page.get_by_role("link", name=re.compile("CSV")))
    assert started.value.suggested_filename.endswith(".csv")
    assert "check,no-mfa," in Path(started.value.path()).read_text()
    assert step.clicks <= 3
