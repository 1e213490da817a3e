"""One installation and one Chromium for all tests of the browser; what no page may ever do fails each test."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import PATIENCE
from tests.console.browser_world import PASSWORD, Installation, installation

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ZOOMED = {"width": 720, "height": 450}  # what is left of the desktop at 200 %

Opened = Callable[..., AbstractContextManager[Page]]


class Guard:
    """Watches a page for what must never happen: console errors, script errors, other origins."""

    def __init__(self, page: Page, origin: str) -> None:
        self.problems: list[str] = []
        self.origin = origin
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"console {kind}: {text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.problems.append(f"request to {url}")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="session")
def cookies(chromium: Browser, world: Installation) -> list:
    """One sign-in through the form, shared by the tests."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{world.url}/checks/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Checks", exact=True)).to_be_visible()
    kept = context.cookies()
    context.close()
    return kept


@pytest.fixture
def opened(chromium: Browser, world: Installation, cookies: list) -> Opened:
    """Opens a guarded page: ``with opened(size, theme, signed_in=…) as page``."""

    @contextmanager
    def open_page(size: dict = DESKTOP, theme: str = "light", *, signed_in: bool = True) -> Iterator[Page]:
        context = chromium.new_context(viewport=size, color_scheme=theme, base_url=world.url)
        context.set_default_timeout(PATIENCE)
        if signed_in:
            context.add_cookies(cookies)
        page = context.new_page()
        guard = Guard(page, world.url)
        yield page
        context.close()
        assert guard.problems == []

    return open_page


@pytest.fixture
def page(opened: Opened) -> Iterator[Page]:
    with opened() as made:
        yield made
