"""The environment's settings: what is written wrong is refused with the name to mend, in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from checks.catalogue import CATALOGUE
from cii_project.settings import database, flag, number, spelt

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("", False),
        ("0", False),
        ("False", False),
        ("off", False),
        ("1", True),
        (" TRUE ", True),
        ("yes", True),
    ],
)
def test_a_flag_is_a_plain_word(monkeypatch: pytest.MonkeyPatch, word: str, meant: bool) -> None:
    monkeypatch.setenv("SECURE_COOKIES", word)
    assert flag("SECURE_COOKIES") is meant


def test_a_flag_with_a_slip_in_it_is_not_taken_for_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURE_COOKIES", "ture")
    with pytest.raises(ImproperlyConfigured, match="SECURE_COOKIES is 'ture'; write true or false"):
        flag("SECURE_COOKIES")


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "nan"])
def test_a_number_that_is_none_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WORKERS", text)
    with pytest.raises(ImproperlyConfigured, match=f"WORKERS is '{text}'; write a number over 0, such as 4"):
        number("WORKERS", 4)


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "")
    monkeypatch.setenv("LOG_LEVEL", "")
    assert number("WORKERS", 4) == 4
    assert spelt("LOG_LEVEL", "INFO", "DEBUG|INFO", "INFO") == "INFO"


def test_a_database_url_of_another_kind_or_with_a_raw_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ImproperlyConfigured, match="must start with postgres://"):
        database("mysql://u:hunter2@host/name")
    with pytest.raises(ImproperlyConfigured, match="percent-encode") as refused:
        database("postgres://u:hunter2/x@host/name")
    assert "hunter2" not in str(refused.value)


def manage(tmp_path: Path, *args: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "DATA_DIR": str(tmp_path), **changes}
    for name in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "REDIS_URL", "ALLOWED_NETWORKS"):
        if name not in changes:
            environment.pop(name, None)
    command = [sys.executable, "manage.py", *args]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_proxy_that_promises_encryption_is_refused(tmp_path: Path) -> None:
    ran = manage(tmp_path, "check", OUTGOING_PROXY="https://kim:proxy-password@proxy.example.com")
    assert ran.returncode == 2
    assert "OUTGOING_PROXY" in ran.stderr
    assert "http://proxy.example.com:3128" in ran.stderr
    assert "proxy-password" not in ran.stderr


def test_a_wrong_setting_ends_a_command_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    ran = manage(tmp_path, "check", TASK_RETRY="soon")
    assert ran.returncode == 2
    assert ran.stderr == (
        "A setting is wrong: TASK_RETRY is 'soon'; write a number over 0, such as 3900 (docs/settings.md)\n"
    )


def test_a_database_that_was_never_set_up_says_which_command_does(tmp_path: Path) -> None:
    ran = manage(tmp_path, "run_checks")
    assert ran.returncode == 2
    assert ran.stderr.startswith("The database did not answer as it should: no such table")
    assert "run: python manage.py setup" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Traceback" in manage(tmp_path, "run_checks", "--traceback").stderr


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = manage(tmp_path, "setup", DATA_DIR=str(tmp_path / "file" / "data"))
    assert ran.returncode == 1
    assert "cannot be made" in ran.stderr
    assert "set DATA_DIR" in ran.stderr


def test_the_database_of_a_new_installation_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data #1%20"
    ran = manage(tmp_path, "setup", DATA_DIR=str(folder))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith(f"{len(CATALOGUE)} checks, 4 groups; the checks run daily at 06:00 UTC.\n")
    assert "Applying auth.0001_initial... OK\n" in ran.stdout
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "db.sqlite3").stat().st_mode & 0o777 == 0o600


def test_the_web_server_starts_without_a_key_no_more_than_the_commands(tmp_path: Path) -> None:
    code = "import cii_project.wsgi"
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "FIELD_KEYS": ""}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "FIELD_KEYS is not set" in ran.stderr
