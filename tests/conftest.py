"""Marker groups for what needs a server, a browser or a network of its own, and shared fixtures.

Where the need is absent the group skips with the reason. With REQUIRE_SERVICES=1 (as .ci/run sets
it) the same absence fails, so that a green run there has really run them.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import Client
from hypothesis import HealthCheck, is_hypothesis_test, settings
from playwright.sync_api import Browser

from integrations.templating import template_process
from integrations.transport.http import close_idle
from tests.chromium import launched
from tests.examples import MANY, TIMES_MORE

# A machine that is busy with something else is slow, not wrong.
settings.register_profile(
    "fixed", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True
)
# Without a database of earlier failures a seed alone repeats a run.
settings.register_profile("random", settings.get_profile("fixed"), derandomize=False, database=None)
settings.register_profile(MANY, settings.get_profile("random"), max_examples=100 * TIMES_MORE)
settings.load_profile("fixed")

# On a busy machine the process that renders templates may take longer to start than a request may wait.
WAIT_SECONDS, template_process.WAIT_SECONDS = template_process.WAIT_SECONDS, 60

GROUPS = ("postgres", "redis", "browser", "network", "snowflake", "ldap", "moto", "samba", "spam")


def _can_make_networks() -> bool:
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"probe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
        return False
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return True


def _missing(marker: str) -> str:
    """What the group lacks here, as a sentence; empty where it can run."""
    if marker == "postgres":
        url = os.environ.get("TEST_DATABASE_URL", "")
        return (
            ""
            if url.startswith(("postgres://", "postgresql://"))
            else "TEST_DATABASE_URL names no PostgreSQL."
        )
    if marker == "redis":
        return "" if os.environ.get("TEST_REDIS_URL") else "TEST_REDIS_URL is not set."
    if marker == "browser":
        path = os.environ.get("CHROMIUM", "")
        return "" if path and shutil.which(path) else "CHROMIUM names no Chromium."
    if marker == "snowflake":
        return (
            "" if find_spec("fakesnow") else "fakesnow is not installed: pip install -e '.[snowflake-test]'"
        )
    if marker == "ldap":
        found = all(
            shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("slapd", "ldapwhoami")
        )
        return "" if found else "slapd or ldapwhoami is not installed: apt-get install slapd ldap-utils"
    if marker == "samba":
        chosen = os.environ.get("SAMBA") and os.geteuid() == 0 and shutil.which("samba-tool")
        return "" if chosen else "Needs SAMBA=1, root and Samba: see docs/development.md."
    if marker == "moto":
        path = os.environ.get("MOTO_SERVER", "")
        return "" if path and shutil.which(path) else "MOTO_SERVER names no moto_server."
    if marker == "spam":
        return "" if shutil.which("spamassassin") else "spamassassin is not installed."
    return "" if _can_make_networks() else "Only root with network namespaces (ip netns) can run this."


def pytest_configure(config: pytest.Config) -> None:
    """The same examples each time, unless somebody asks for random ones."""
    if config.getoption("-m") == "many_examples":
        settings.load_profile(MANY)
    elif config.getoption("--hypothesis-seed") is not None:
        settings.load_profile("random")


# pytest-django gives a test the database for its marker, or for one of these fixtures.
DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}


# First: what it marks is chosen by -m.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing: dict[str, str] = {}
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("many_examples")
        if item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(item.fixturenames):
            item.add_marker("database")
        for marker in GROUPS:
            if item.get_closest_marker(marker):
                reason = missing.setdefault(marker, _missing(marker))
                if reason:
                    item.add_marker(pytest.mark.skip(reason=reason))


# Each takes minutes. Several workers run them first, so that none runs one while the others have nothing left.
SLOW_FILES = ("test_benchmark.py", "test_recipes.py", "test_tutorial.py", "test_demo.py", "test_new_check.py")


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def pytest_slow_files_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After pytest-django, which puts the tests without a database last."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.name not in SLOW_FILES)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = (yield).get_result()
    in_group = any(item.get_closest_marker(group) for group in GROUPS)
    if report.skipped and in_group and os.environ.get("REQUIRE_SERVICES") == "1":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and REQUIRE_SERVICES=1 allows none: {report.longrepr}"


@pytest.fixture(autouse=True)
def _no_browser_loop_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's synchronous interface keeps an event loop in the thread, which Django takes for async code."""
    if request.node.get_closest_marker("browser"):
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(scope="session", autouse=True)
def _no_connection_is_left_open() -> Iterator[None]:
    """Close the connections that the transport keeps for the next call: their garbage collection would
    warn."""
    yield
    close_idle()


@pytest.fixture(scope="session", autouse=True)
def _threads_close_their_connections() -> Iterator[None]:
    """Let `close()` close a thread's own connection to the in-memory database.

    Django ignores it for such a database, which ends with its last connection: the main thread's remains open here.
    From Python 3.13 on, a connection that is collected unclosed raises ResourceWarning.
    """
    close = DatabaseWrapper.close

    def close_in_thread(connection: DatabaseWrapper) -> None:
        is_main = connection._thread_ident == threading.main_thread().ident
        (close if is_main else BaseDatabaseWrapper.close)(connection)

    DatabaseWrapper.close = close_in_thread
    yield
    DatabaseWrapper.close = close


@pytest.fixture
def administrator(db: None, django_user_model):
    return django_user_model.objects.create_superuser(
        "admin", "admin@example.com", "correct horse battery staple"
    )


@pytest.fixture
def admin_client(administrator) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser
