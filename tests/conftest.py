"""Marker groups for what needs a server, a browser or a network of its own, and shared fixtures.

Where the need is absent the group skips with the reason. With REQUIRE_SERVICES=1 (as .ci/run sets
it) the same absence fails, so that a green run there has really run them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from django.test import Client
from hypothesis import HealthCheck, settings

from integrations.http import close_idle

# A machine that is busy with something else is slow, not wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

GROUPS = ("postgres", "redis", "browser", "network", "snowflake")


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
    return "" if _can_make_networks() else "Only root with network namespaces (ip netns) can run this."


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing: dict[str, str] = {}
    for item in items:
        for marker in GROUPS:
            if item.get_closest_marker(marker):
                reason = missing.setdefault(marker, _missing(marker))
                if reason:
                    item.add_marker(pytest.mark.skip(reason=reason))


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
    """What the door keeps for the next call is closed before the process ends, which would warn of it."""
    yield
    close_idle()


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
