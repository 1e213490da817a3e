"""An installation of each released version migrates to the present one with its data; released migrations stay."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings

from cii_project.tools.benchmark.scratch import Scratch, scratch
from tests.upgrades import recorded

# It makes databases of its own on the server of the tests.
pytestmark = pytest.mark.database


@pytest.fixture
def made() -> Iterator[Scratch]:
    server = os.environ.get("TEST_DATABASE_URL", "")
    # The database that the URL names need not exist: Django makes another one for the tests.
    with scratch(urlunsplit(urlsplit(server)._replace(path="/postgres")) if server else "") as databases:
        yield databases


def test_the_present_version_is_recorded():
    """If this fails: ``python -m tests.upgrades record``."""
    assert settings.VERSION in recorded.versions()


@pytest.mark.parametrize("version", recorded.versions())
def test_the_migrations_of_a_released_version_are_unchanged(version):
    """If this fails: restore the file and put the change into a new migration. Before the release: record it again."""
    released = recorded.read(version, "migrations.json")["files"]
    present = recorded.checksums()
    assert {path: present.get(path) for path in released} == released


@pytest.mark.parametrize("version", recorded.versions())
def test_an_installation_of_a_released_version_upgrades_with_its_data(version, made):
    facts = recorded.read(version, "migrations.json")
    url = made.create()
    environment = made.environment(url, **facts["keys"])

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=recorded.ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    python("-m", "tests.upgrades", "build", version)
    python("manage.py", "setup", "--verbosity", "0")
    assert json.loads(python("-m", "tests.upgrades", "missing", version)) == {}
    run = json.loads(python("manage.py", "run_checks", "--no-notify", "--format", "json"))
    counts = {row["check"]: (row["failing"], row["new"], row["error"]) for row in run["checks"]}
    assert counts.items() >= {check: (failing, 0, "") for check, failing in facts["failing"].items()}.items()
    # Seals every secret again, so each must open.
    assert "secrets are sealed" in python("manage.py", "rotate_keys")
    assert python("manage.py", "setup", "--verbosity", "0").startswith("The database is up to date")
