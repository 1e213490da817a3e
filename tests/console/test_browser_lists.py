"""Chromium on real servers: lists that follow what workers do, what is done to all that match, and texts nobody saved."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.chromium import PATIENCE
from tests.console.browser_world import PASSWORD, Installation, create_webhook
from tests.console.conftest import DESKTOP, PHONE, Guard, Opened

pytestmark = pytest.mark.browser
EDITOR = "/checks/mfa-bypass/messages"
# Milliseconds after which a list has surely asked again; the browser's clock is set forward, nobody waits.
LATER = 60_000


def follows(page: Page, address: str, table: str) -> None:
    """Open a list whose clock is ours, and mark its document and its table."""
    page.clock.install()
    page.goto(address)
    page.evaluate("window.isSameDocument = true")
    page.evaluate("(id) => { document.getElementById(id).isSameTable = true }", table)


def is_same(page: Page, table: str) -> tuple[bool, bool]:
    """Whether the document and the table are those that were marked."""
    found = page.evaluate(
        "(id) => [window.isSameDocument === true, document.getElementById(id).isSameTable === true]", table
    )
    return found[0], found[1]


# --- Live refresh -----------------------------------------------------------------------------------
def test_the_list_of_runs_follows_a_run_without_a_reload(page: Page, world: Installation):
    follows(page, "/runs/", "runs-table")
    with page.expect_response(lambda answer: "seen=" in answer.url) as unchanged:
        page.clock.fast_forward(LATER)
    assert unchanged.value.status == 204
    assert is_same(page, "runs-table") == (True, True)

    world.manage("run_checks", "mfa-bypass", "--no-notify")
    page.clock.fast_forward(LATER)
    expect(page.locator("#runs-table tbody tr").first).to_contain_text("silent")
    assert is_same(page, "runs-table") == (True, False)


def test_the_list_of_deliveries_follows_what_is_sent_and_keeps_the_focus(page: Page, world: Installation):
    create_webhook(page, world, "Followed", "/basic", "basic")
    target = page.url.rstrip("/").rsplit("/", 1)[-1]
    page.get_by_role("button", name="Test connectivity").click()
    expect(page.locator("#test-result")).to_contain_text("200")
    other = page.context.new_page()
    follows(other, f"/deliveries/?target={target}", "deliveries-table")
    rows = other.locator("#deliveries-table tbody tr")
    expect(rows).to_have_count(1)
    link = rows.get_by_role("link").first
    link.focus()
    page.get_by_role("button", name="Test connectivity").click()
    expect(page.locator("#test-result")).to_contain_text("200")
    other.clock.fast_forward(LATER)
    expect(rows).to_have_count(2)
    expect(rows.nth(1).get_by_role("link").first).to_be_focused()
    assert is_same(other, "deliveries-table") == (True, False)
    other.close()


def test_an_older_page_of_a_list_stands_still(page: Page):
    """Its rows are those that a person is reading: only the first page follows."""
    page.goto("/runs/?page=made-up")
    expect(page.locator("#runs-table")).not_to_have_attribute("hx-get", re.compile("seen="))


# --- All that match ---------------------------------------------------------------------------------
def test_all_exclusions_that_match_are_removed_and_no_other(page: Page):
    page.goto("/checks/no-mfa/exclusions")
    dialog, rows = page.get_by_role("dialog"), page.locator("main tbody tr")
    for count, (name, period) in enumerate({"boss": "For good", "kim": "7 days", "lee": "7 days"}.items(), 1):
        page.get_by_role("button", name="Exclude users…").click()
        dialog.get_by_label("Users").fill(name)
        dialog.get_by_label("Reason").fill("To be removed")
        dialog.get_by_label("For").select_option(label=period)
        dialog.get_by_role("button", name="Exclude", exact=True).click()
        expect(rows).to_have_count(count)
    page.goto("/checks/no-mfa/exclusions?state=for_good")
    page.get_by_role("button", name=re.compile("^Remove all 1 exclusion")).click()
    expect(dialog).to_contain_text("boss@example.com")
    dialog.get_by_role("button", name="Remove the exclusion").click()
    expect(page.get_by_text("is evaluated again from the next run on")).to_be_visible()
    expect(rows).to_have_count(2)
    page.get_by_label("Select all users of this page").check()
    page.get_by_role("button", name="Remove the selected…").click()
    dialog.get_by_role("button", name="Remove 2 exclusions").click()
    expect(page.get_by_text("No user is excluded")).to_be_visible()


# --- Texts that nobody saved ------------------------------------------------------------------------
@pytest.fixture
def own(chromium: Browser, world: Installation) -> Iterator[Page]:
    """A page with a session of its own, which may end."""
    context = chromium.new_context(viewport=DESKTOP, base_url=world.url)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    guard = Guard(page, world.url)
    page.goto(EDITOR)
    sign_in(page)
    yield page
    context.close()
    assert guard.problems == []


def sign_in(page: Page) -> None:
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_a_message_that_nobody_saved_survives_the_end_of_the_session(own: Page):
    editor = own.get_by_label("Message", exact=True)
    stored = editor.input_value()
    editor.fill("A long text {{ check.title }}")
    expect(own.locator("#message-preview")).to_contain_text("A long text")
    own.context.clear_cookies(name="sessionid")
    own.get_by_role("button", name="Save", exact=True).click()
    # The session is over: sign-in, and back to the same message.
    sign_in(own)
    expect(own).to_have_url(re.compile(EDITOR))
    expect(editor).to_have_value(stored)
    draft = own.get_by_role("status").filter(has_text="A text that you did not save on")
    expect(draft).to_be_visible()
    draft.get_by_role("button", name="Restore it").click()
    expect(editor).to_have_value("A long text {{ check.title }}")
    expect(own.locator("#message-preview")).to_contain_text("A long text")
    expect(draft).to_be_hidden()
    own.get_by_role("button", name="Save", exact=True).click()
    expect(own.get_by_text("Saved. The next message uses this text.")).to_be_visible()
    assert own.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))") == []
    own.get_by_role("button", name="Reset to default…").click()
    own.get_by_role("dialog").get_by_role("button", name="Reset to default").click()
    expect(own.get_by_text("The default message is restored.")).to_be_visible()


def test_a_draft_that_is_discarded_is_gone(own: Page):
    editor = own.get_by_label("Message", exact=True)
    editor.fill("Not worth it")
    own.on("dialog", Dialog.accept)
    own.reload()
    draft = own.get_by_role("status").filter(has_text="A text that you did not save on")
    draft.get_by_role("button", name="Discard it").click()
    own.reload()
    expect(editor).to_be_visible()
    expect(draft).to_be_hidden()


def test_leaving_a_text_that_nobody_saved_asks_first(page: Page):
    """Of a setting, which no storage of the browser keeps."""
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto("/settings/")
    contact = page.get_by_label("Contact", exact=True)
    before = contact.input_value()
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    assert asked == []
    page.goto("/settings/")
    contact.fill("the help desk")
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(contact).to_have_value("the help desk")
    assert asked == ["beforeunload"]
    contact.fill(before)
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    assert asked == ["beforeunload"]


# --- Figures ----------------------------------------------------------------------------------------
DELIVERED = """
from uuid import uuid4
from django.utils import timezone
from checks.models import Check
from integrations.models import Integration
from notifications.models import Delivery, Event
event = Event.objects.create(origin="run", check_ref=Check.objects.get(slug="no-mfa"), created_at=timezone.now())
target = Integration.objects.get(name="Drawn")
Delivery.objects.create(id=uuid4(), event=event, integration=target, state="delivered", created_at=event.created_at)
"""
CHART = "Chart.getChart(document.querySelector('canvas.chart'))"


def test_the_bars_of_a_chart_differ_without_colour_and_the_pointer_shows_a_day(
    page: Page, world: Installation
):
    create_webhook(page, world, "Drawn", "/basic", "basic")
    world.manage("shell", "-c", DELIVERED)
    page.reload()
    page.locator("canvas.chart").hover()
    bars = f"{CHART}.data.datasets.map((one) => one.backgroundColor instanceof CanvasPattern && one.pattern)"
    assert page.evaluate(bars) == [False, "stripes", "dots", "crossed"]
    marks = "[...document.querySelectorAll('.c-mark')].map((one) => getComputedStyle(one).backgroundImage)"
    assert len(set(page.evaluate(marks))) == 4
    shown = f"[{CHART}.tooltip.title[0], {CHART}.tooltip.dataPoints.map((one) => one.dataset.label)]"
    day, values = page.evaluate(shown)
    assert re.fullmatch(r"\d{1,2} [A-Z][a-z]{2} \d{4}", day)
    assert values == ["Delivered", "Waiting", "Held", "Dead"]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_report_folds_its_long_tables_and_prints_them_whole(
    opened: Opened, world: Installation, size: dict
):
    world.manage("run_checks", "--no-notify")
    with opened(size) as page:
        page.goto("/report/?days=7")
        checks = page.get_by_role("region", name="By check")
        expect(checks.get_by_text(re.compile(r"^Show all \d+$"))).to_be_visible()
        folded = checks.locator("details tbody tr").last
        expect(folded).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollHeight") < 4500
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        expect(folded).to_be_visible()
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        expect(folded).to_be_hidden()


# What a row may say on another day: a run of some minutes ago, and a cause of every source.
LONG_TEXTS = """() => {
    for (const time of document.querySelectorAll(".c-table tbody time")) time.textContent = "12 minutes ago"
    for (const cause of document.querySelectorAll(".c-table .chk-unknown")) cause.append(", ", cause.textContent, ", ", cause.textContent)
}"""


@pytest.mark.parametrize(
    ("address", "most"), [("/users/", 160), ("/checks/no-mfa/", 160), ("/runs/", 130), ("/checks/", 230)]
)
def test_a_row_of_a_list_is_low_on_a_phone(opened: Opened, world: Installation, address: str, most: int):
    """In CSS pixels, the middle one of the rows; with a line for each value one of the users had 240."""
    world.manage("run_checks", "--no-notify")
    with opened(PHONE) as page:
        page.goto(address)
        rows = page.locator(".c-table tbody tr")
        expect(rows.first).to_be_visible()
        page.evaluate(LONG_TEXTS)
        heights = rows.evaluate_all("(rows) => rows.map((row) => row.getBoundingClientRect().height)")
        assert sorted(heights)[len(heights) // 2] <= most, heights
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
