"""The lock files agree with pyproject.toml and with each other. No network: read the files and the installed metadata."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
GROUPS: dict[str, list] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
LOCKS = {
    "runtime": "requirements.lock",
    "test": "requirements-test.lock",
    "snowflake": "requirements-snowflake.lock",
    "snowflake-test": "requirements-snowflake-test.lock",
    "moto": "requirements-moto.lock",
    "audit": "requirements-audit.lock",
    "docs": "requirements-docs.lock",
}
HASHED = {
    "requirements-hashed.lock": "requirements.lock",
    "requirements-snowflake-hashed.lock": "requirements-snowflake.lock",
}
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def _lines(lock: str) -> list[str]:
    """One line per package: a package's hashes stand on continuation lines."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _pins(lock: str) -> dict[str, Requirement]:
    pins = [Requirement(line.split(" --hash")[0]) for line in _lines(lock)]
    return {canonicalize_name(pin.name): pin for pin in pins}


def _version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "==", f"{pin} is not pinned"
    return specifier.version


def _group(name: str) -> Iterator[Requirement]:
    for entry in GROUPS[name]:
        if isinstance(entry, dict):
            yield from _group(entry["include-group"])
        else:
            yield Requirement(entry)


def _dependencies(requirement: Requirement) -> Iterator[Requirement]:
    """What an installed package asks for on any platform, with the extras asked of it."""
    try:
        found = requires(requirement.name) or []
    except PackageNotFoundError:  # Belongs to another platform, or to another interpreter.
        return
    for text in found:
        dependency = Requirement(text)
        extras = set(re.findall(r"extra == ['\"]([^'\"]+)", str(dependency.marker or "")))
        if not extras or extras & requirement.extras:
            yield dependency


def _closure(group: str) -> list[Requirement]:
    """The group's requirements and all that these need, each once for each set of extras."""
    seen: dict[tuple[str, frozenset[str]], list[Requirement]] = {}
    waiting = list(_group(group))
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen:
            waiting += _dependencies(requirement)
        seen.setdefault(key, []).append(requirement)
    return [requirement for group_of_key in seen.values() for requirement in group_of_key]


def test_each_group_has_a_lock() -> None:
    assert set(LOCKS) == set(GROUPS)


def test_each_lock_file_is_tested() -> None:
    assert {path.name for path in ROOT.glob("*.lock")} == {*LOCKS.values(), *HASHED}


@pytest.mark.parametrize("group", LOCKS)
def test_a_lock_pins_each_requirement_of_its_group(group: str) -> None:
    pins = _pins(LOCKS[group])
    for requirement in _group(group):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{LOCKS[group]} lacks {requirement}: recompile it (CONTRIBUTING.md)"
        assert requirement.specifier.contains(_version(pins[name])), f"{pins[name]} breaks {requirement}"


@pytest.mark.parametrize("group", ["runtime", "test"])
def test_a_lock_holds_what_its_packages_need_and_nothing_else(group: str) -> None:
    pins = _pins(LOCKS[group])
    needed = _closure(group)
    surplus = set(pins) - {canonicalize_name(requirement.name) for requirement in needed}
    assert not surplus, f"{LOCKS[group]} pins what nothing needs: recompile it (CONTRIBUTING.md)"
    for requirement in needed:
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            marker = requirement.marker
            assert marker, f"{LOCKS[group]} lacks {requirement}"
            continue  # An older interpreter, or a platform that uv leaves out by its own analysis.
        assert requirement.specifier.contains(_version(pin)), f"{pin} breaks {requirement}"


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("runtime", "test"),
        ("runtime", "snowflake"),
        ("test", "snowflake-test"),
        ("snowflake", "snowflake-test"),
    ],
)
def test_a_package_has_one_version_in_all_locks(smaller: str, larger: str) -> None:
    larger_pins = {name: _version(pin) for name, pin in _pins(LOCKS[larger]).items()}
    for name, pin in _pins(LOCKS[smaller]).items():
        assert larger_pins.get(name) == _version(pin), f"{name} in {LOCKS[smaller]} and {LOCKS[larger]}"


@pytest.mark.parametrize(("hashed", "plain"), HASHED.items())
def test_a_hashed_lock_pins_what_the_plain_one_pins(hashed: str, plain: str) -> None:
    assert {str(pin) for pin in _pins(hashed).values()} == {str(pin) for pin in _pins(plain).values()}


@pytest.mark.parametrize(
    "lock", [*HASHED, "requirements-audit.lock", "requirements-docs.lock", "requirements-moto.lock"]
)
def test_a_hashed_lock_has_hashes_for_each_package(lock: str) -> None:
    for line in _lines(lock):
        words = line.split("--hash")[1:]
        assert words, f"{lock}: no hash in {line}"
        assert all(SHA256.fullmatch(f"--hash{word}".strip()) for word in words)


def test_snowflake_hashes_are_those_of_the_runtime() -> None:
    """Both are compiled from the same index: another hash for the same version is another file."""

    def hashes(lock: str) -> dict[str, set[str]]:
        return {line.split("==")[0]: set(SHA256.findall(line)) for line in _lines(lock)}

    larger = hashes("requirements-snowflake-hashed.lock")
    for name, found in hashes("requirements-hashed.lock").items():
        assert larger[name] == found, name


def test_contributing_names_the_command_of_each_lock() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for lock in [*LOCKS.values(), *HASHED]:
        assert f"-o {lock}\n" in text, f"CONTRIBUTING.md does not say how {lock} is compiled"


def test_the_workflow_pins_each_action_by_commit() -> None:
    used = re.findall(r"uses:\s*(\S+)", (ROOT / ".github/workflows/ci.yml").read_text())
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []
