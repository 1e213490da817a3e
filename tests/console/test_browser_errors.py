"""Chromium on real servers: every error state says what went wrong and what to do, and loses nothing."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser_world import Installation, create_webhook, free_port
from tests.receiver import Behaviour, Receiver
from tests.waiting import until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def misbehaving() -> Iterator[Receiver]:
    """A receiver that takes its time on /slow, sends elsewhere on /moved and breaks on /broken."""
    with Receiver() as receiver:
        receiver.script("/slow", Behaviour(delay=3))
        receiver.script("/moved", Behaviour(status=302, headers=[("Location", "http://127.0.0.1:1/")]))
        receiver.script("/broken", Behaviour(status=503, body=b"<b>out of order</b>"))
        receiver.script("/token", Behaviour(status=200, body=b"no token here"))
        yield receiver


def error_of(page: Page, field: str) -> str:
    """What stands beside a field of the form."""
    return page.locator(f"#div_id_{field} .errorlist").inner_text()


def connectivity(page: Page) -> str:
    """Press Test connectivity on the integration's page; what it says in place."""
    page.get_by_role("button", name="Test connectivity").click()
    result = page.locator("#test-result")
    expect(result).to_contain_text("What happened")
    return result.inner_text()


def test_a_mistake_stands_beside_its_field_or_row_and_the_rest_is_kept(page: Page):
    page.goto("/integrations/add/webhook/")
    page.get_by_label("Name", exact=True).fill("Mistaken")
    page.get_by_label("URL", exact=True).fill("ftp://example.com/hook")
    page.get_by_label("User name").fill("cii:colon")
    page.get_by_label("Password").fill("top-secret")
    page.locator("[data-add-row=call-rows]").click()
    page.get_by_label("Name", exact=True).nth(1).fill("Host")
    page.get_by_label("Value", exact=True).fill("elsewhere.example.com")
    page.get_by_label("Secret", exact=True).check()
    page.get_by_role("button", name="Add integration").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    assert "http" in error_of(page, "url")
    assert "colon" in error_of(page, "username")
    expect(page.locator(".c-error.c-row-error")).to_contain_text("it belongs to the connection")
    expect(page.get_by_label("Name", exact=True).first).to_have_value("Mistaken")
    assert "top-secret" not in page.content()
    assert "elsewhere.example.com" not in page.content()


def test_the_form_follows_the_type_of_authorization_without_a_reload(page: Page):
    page.goto("/integrations/add/webhook/")
    page.evaluate("window.sameDocument = true")
    for kind, seen, unseen in (
        ("api_key", "Header value", "Password"),
        ("oauth", "Authorization endpoint", "Header value"),
        ("basic", "Password", "Client secret"),
    ):
        page.get_by_label("Authorization", exact=True).select_option(kind)
        expect(page.get_by_label(seen)).to_be_visible()
        expect(page.get_by_label(unseen)).to_be_hidden()
    assert page.evaluate("window.sameDocument")


def test_wrong_credentials_differ_from_everything_else(page: Page, world: Installation):
    create_webhook(page, world, "Wrong password", "/basic", "basic", password="not-it")
    said = connectivity(page)
    assert "401" in said
    assert "does not accept the credentials" in said
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Password")).to_have_value("")
    page.get_by_label("Password").fill("open-sesame")
    page.get_by_role("button", name="Save", exact=True).click()
    assert "200" in connectivity(page)


def test_a_private_address_is_refused_with_the_setting_that_allows_it(page: Page, world: Installation):
    create_webhook(page, world, "Private", "/", "basic", url="https://10.1.2.3/hook")
    said = connectivity(page)
    assert "no answer" in said
    assert "ALLOWED_NETWORKS" in said


def test_a_receiver_that_is_down_slow_broken_or_moved_is_named_as_such(
    page: Page, world: Installation, misbehaving: Receiver
):
    down = f"http://127.0.0.1:{free_port()}/hook"
    for name, url, status, words in (
        ("Down", down, "no answer", "No connection"),
        ("Broken", misbehaving.url("/broken"), "503", "an internal error"),
        ("Moved", misbehaving.url("/moved"), "302", "redirects are not followed"),
    ):
        create_webhook(page, world, name, "/", "basic", url=url)
        said = connectivity(page)
        assert status in said, said
        assert words in said, said
        if name == "Broken":
            assert "<b>out of order</b>" in said
    page.goto("/integrations/add/webhook/")
    page.get_by_label("Name", exact=True).fill("Slow")
    page.get_by_label("URL", exact=True).fill(misbehaving.url("/slow"))
    page.get_by_label("User name").fill("cii")
    page.get_by_label("Password").fill("x")
    page.get_by_text("Limits, timeouts, certificates").click()
    page.get_by_label("Seconds to answer").fill("1")
    page.get_by_role("button", name="Add integration").click()
    expect(page.get_by_text("It is on no check yet").first).to_be_visible()
    assert "No answer in time" in connectivity(page)


def test_a_token_that_cannot_be_had_is_shown_apart_from_the_call(
    page: Page, world: Installation, misbehaving: Receiver
):
    create_webhook(page, world, "Wrong client", "/oauth/in", "oauth", client_secret="not-it")
    said = connectivity(page)
    assert "invalid_client" in said
    assert "check the authorization endpoint, client id and secret" in said
    create_webhook(page, world, "No token", "/oauth/in", "oauth", endpoint=misbehaving.url("/token"))
    assert "No token was issued" in connectivity(page)
    assert world.received("/oauth/in?") == []


def test_a_message_that_cannot_render_says_line_and_column_and_is_neither_saved_nor_sent(
    page: Page, world: Installation
):
    create_webhook(page, world, "For messages", "/basic", "basic")
    page.goto("/checks/leaked-credentials/messages")
    editor = page.get_by_label("Message", exact=True)
    editor.fill("All is well\n{% for user in users %}{{ user.login }}")
    expect(page.locator("#message-preview")).to_contain_text("Line 2, column")
    expect(page.locator("#message-preview")).to_contain_text("expected tag endfor, found the end.")
    page.get_by_role("button", name="Test For messages").click()
    expect(page.locator(".chk-test-row", has_text="For messages")).to_contain_text("Not sent. Line 2, column")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Not saved.")).to_be_visible()
    expect(editor).to_have_value(re.compile("All is well"))
    page.goto("/checks/leaked-credentials/messages")
    expect(page.get_by_text("Default", exact=True)).to_be_visible()


def test_a_message_of_ones_own_is_deleted_by_a_second_press_only(page: Page, world: Installation):
    page.goto("/checks/leaked-credentials/messages")
    editor = page.get_by_label("Message", exact=True)
    default = editor.input_value()
    editor.fill("A text of our own")
    page.get_by_role("button", name="Save", exact=True).click()
    reset, dialog = page.get_by_role("button", name="Reset to default…"), page.get_by_role("dialog")
    reset.click()
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_be_hidden()
    page.reload()
    expect(editor).to_have_value("A text of our own")
    reset.click()
    dialog.get_by_role("button", name="Reset to default").click()
    expect(page.get_by_text("The default message is restored.")).to_be_visible()
    expect(editor).to_have_value(default)


def test_a_second_run_is_refused_and_the_first_survives_that_the_page_is_closed(
    page: Page, world: Installation
):
    assert world.worker is not None
    with world.held(world.worker):
        page.goto("/checks/")
        page.get_by_role("button", name="Run checks now").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Run and notify").click()
        expect(dialog).to_contain_text("Waiting")
        page.goto("/runs/")
        page.get_by_role("button", name="Run checks now").click()
        expect(page.get_by_role("dialog")).to_contain_text("A run is already going")
        page.goto("about:blank")
    page.goto("/runs/")
    expect(page.locator("tbody tr").first).to_contain_text("Succeeded", timeout=60_000)
    expect(page.locator("#live-run")).to_contain_text(re.compile("Run finished|^\\s*$"))


def test_dead_letters_are_replayed_together_after_their_number_was_shown(page: Page, world: Installation):
    create_webhook(page, world, "Refusing", "/basic", "basic", password="not-it")
    target = page.url.rstrip("/").rsplit("/", 1)[-1]
    page.goto("/checks/no-mfa/")
    page.get_by_role("button", name=re.compile("Targets")).click()
    page.get_by_role("checkbox", name=re.compile("^Refusing")).check()
    expect(page.get_by_text("Refusing is enabled on this check.").first).to_be_visible()
    group = page.get_by_role("group", name="Refusing", exact=True)
    group.get_by_role("button", name=re.compile("^Send current failures")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=re.compile("^Send ")).click()
    expect(page.get_by_text(re.compile("on the way to Refusing"))).to_be_visible()

    def rows() -> int:
        page.goto(f"/deliveries/?state=dead&target={target}&origin=current")
        return page.locator("tbody tr").count()

    until(rows, "a dead letter on the page")
    expect(page.locator("tbody tr")).to_contain_text("401")
    page.get_by_role("button", name=re.compile("Replay all that match")).click()
    expect(dialog).to_contain_text("1 delivery")
    dialog.get_by_role("button", name=re.compile("^Replay")).click()
    expect(page.get_by_text("1 delivery is on its way again.")).to_be_visible()


def test_a_file_with_bad_rows_says_which_and_what_to_do(page: Page):
    page.goto("/integrations/sources/")
    rows = b"login,email,created_at\nnew,new@example.com,2024-01-01\nbad,bad@example.com,yesterday\n"
    page.locator("input[type=file]").set_input_files(
        {"name": "users.csv", "mimeType": "text/csv", "buffer": rows}
    )
    page.get_by_role("button", name="Upload", exact=True).click()
    page.get_by_role("button", name="Save and continue").click()
    rejected = page.get_by_role("region", name="Rejected rows")
    expect(rejected).to_contain_text("yesterday")
    expect(rejected).to_contain_text("an ISO 8601 date or time")
