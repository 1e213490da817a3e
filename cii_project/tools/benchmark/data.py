"""Users of three sources, made from a seed alone: record after record, so that any number needs no memory.

Version 0 is the first state; in each later version some users are others than before: some start to fail,
some are cured.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from cii_project.tools.demo import names
from integrations.services import JsonObject

AccountRecord = JsonObject
# slug, name, vendor, kind
DATA_SOURCES = (
    ("okta", "Okta", "OKTA", "identity"),
    ("entra", "Entra ID", "ENTRA", "identity"),
    ("workday", "Workday", "WORKDAY", "hr"),
)
# Number of users that are imported; the rest are copies of them (common_steps.multiply).
IMPORTED = 50_000
# The kind of user, and below which of a hundred places.
_KINDS = (("employee", 85), ("guest", 92), ("service", 98), ("room", 100))
_IN_HR = ("login", "email", "display_name", "employee_id", "title", "manager", "created_at")
_TYPES = {"employee": "internal", "guest": "guest", "service": "service_account", "room": "conference_room"}


def account_records(
    source: str, users: int, *, seed: int, now: datetime, version: int = 0, every: int = 1
) -> Iterator[AccountRecord]:
    """The records of one source: one user in ``every``."""
    for index in range(version % every, users, every):
        accounts = _user(index, seed, now, version)
        if source in accounts:
            yield accounts[source]


def _user(index: int, seed: int, now: datetime, version: int) -> dict[str, AccountRecord]:
    rng = random.Random(((seed * 1_000_003 + index) << 8) + version)  # made-up data  # nosec B311
    chance = rng.random

    def ago(days: float) -> str:
        # Half a day off every border: minutes between two runs move nobody across it.
        return (now - timedelta(days=int(days) + 0.5)).strftime("%Y-%m-%dT%H:%M:%SZ")

    kind = next(kind for kind, below in _KINDS if index * 7 % 100 < below)
    human, admin = kind in ("employee", "guest"), chance() < 0.03
    first, last = names.FIRST[index % len(names.FIRST)], names.LAST_NAMES[index * 7 % len(names.LAST_NAMES)]
    department = names.COMPANY if not human else list(names.DEPARTMENTS)[index % len(names.DEPARTMENTS)]
    login = _login(index)
    boss = index // 10
    manager = _login(boss)
    idle = chance() < 0.07
    record = {
        "login": login,
        "email": login,
        "display_name": f"{first} {last}",
        "employee_id": f"E{index:07}" if kind == "employee" else "",
        "department": department,
        "title": "Engineer",
        "manager": manager if human and chance() >= 0.012 else "",
        "owner": manager if not human and chance() >= 0.1 else "",
        "status": "disabled" if index % 500 == 7 else "locked_out" if chance() < 0.008 else "active",
        "user_type": _TYPES[kind],
        "created_at": ago(400 + index % 900),
        "status_changed_at": ago(40),
        "password_changed_at": ago(420 if chance() < 0.06 else 20 + index % 90),
        "last_sign_in_at": None if chance() < 0.01 else ago(40 + index % 200 if idle else index % 12),
        "last_sign_in_country": "KP" if chance() < 0.003 else "DE",
        "last_sign_in_ip": "192.0.2.7",
        "failed_sign_ins": 5 if idle and chance() < 0.1 else 0,
        "mfa_bypass": chance() < 0.007,
        "password_never_expires": chance() < 0.01,
        "credentials_exposed": chance() < 0.004,
        "mfa_factors": _factors(index, chance(), strong=admin or kind == "service"),
        "admin_roles": ["Super Administrator"] if admin else [],
        "groups": ["Everyone", department],
        "forwarding": ["inbox@elsewhere.example"] if chance() < 0.005 else [],
        "applications": [
            {"name": "Jira", "last_used_at": ago(50 if chance() < 0.07 else 3)},
            {"name": "Figma", "last_used_at": ago(2)},
        ],
    }
    accounts = {"okta": record}
    if index % 10 < 6:
        accounts["entra"] = {
            **record,
            "user_type": "" if chance() < 0.012 else "external" if chance() < 0.004 else record["user_type"],
            "status": "suspended" if chance() < 0.008 else "active",
            "mfa_factors": _factors(index + 10_000_000, 0.5 + chance() / 2, strong=admin),
            "applications": [],
        }
    if kind == "employee" and chance() >= 0.01:
        accounts["workday"] = {
            **{name: record[name] for name in _IN_HR},
            "department": "Elsewhere" if chance() < 0.02 else department,
            "status": "disabled" if chance() < 0.005 else "active",
            "status_changed_at": ago(12),
        }
    return accounts


def _login(index: int) -> str:
    first, last = names.FIRST[index % len(names.FIRST)], names.LAST_NAMES[index * 7 % len(names.LAST_NAMES)]
    return f"{first}.{last}.{index}@example.com".lower()


def _factors(index: int, luck: float, *, strong: bool) -> list[dict[str, str]]:
    if luck < 0.05:
        return []
    if luck < 0.09:
        return [{"kind": "sms", "device": f"+1555{index:08}", "status": "active"}]
    if luck < 0.10:
        return [{"kind": "push", "device": f"shared-{index // 3000}", "status": "active"}]
    kind = "fido2" if strong and luck < 0.95 else "push"
    return [{"kind": kind, "device": f"device-{index}", "status": "active"}]
